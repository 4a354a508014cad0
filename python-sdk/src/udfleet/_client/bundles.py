"""Answers of a stream, counted into bundles for a progress handler."""

from __future__ import annotations

from typing import Any

from .._flight.item import Item
from .._proto.udfleet.v1 import exchange_pb2
from ..progress import BundleProgressHandler, ProcessBundleProgressResponse, ProcessBundleResponse

_NANOSECONDS = 1e9


class Tracker:
    """What has come of the bundle that runs."""

    def __init__(self, handler: BundleProgressHandler) -> None:
        self._handler = handler
        self._bundle = 0
        self._begin()

    def _begin(self) -> None:
        self._batches = self._rows = self._bytes = 0
        self._times = dict.fromkeys(("queue", "transfer", "convert", "run"), 0)

    def on_answer(self, result: exchange_pb2.BatchResult, item: Item) -> None:
        """Counts a message in, and tells the handler."""
        self._rows += result.rows
        for part in self._times:
            self._times[part] += getattr(result.timing, part)
        if result.last:
            self._batches += 1
            self._bytes += item.size
        self._handler.on_progress(ProcessBundleProgressResponse(**self._numbers()))

    def complete(self) -> None:
        """The bundle has ended."""
        if self._batches:
            self._handler.on_completed(ProcessBundleResponse(**self._numbers()))
            self._bundle += 1
        self._begin()

    def _numbers(self) -> dict[str, Any]:
        seconds = {f"{part}_seconds": spent / _NANOSECONDS for part, spent in self._times.items()}
        counts = {"batches": self._batches, "rows": self._rows, "bytes": self._bytes}
        return {"bundle": self._bundle, **counts, **seconds}
