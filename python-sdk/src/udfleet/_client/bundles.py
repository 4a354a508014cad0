"""Bundles of running streams, for a progress handler."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa

from .._proto.udfleet.v1 import exchange_pb2
from ..progress import BundleProgressHandler, ProcessBundleProgressResponse, ProcessBundleResponse
from .user_metrics import user_metrics

_NANOSECONDS = 1e9
_PARTS = ("queue", "transfer", "convert", "run")


class Tracker:
    """Hears what streams say of bundles. A peer that says nothing of them has its answers counted as one bundle."""

    def __init__(self, handler: BundleProgressHandler) -> None:
        self._handler = handler
        self._told: set[str] = set()
        self._counted: dict[str, _Counted] = {}

    def on_message(self, address: str, result: exchange_pb2.BatchResult, batch: pa.RecordBatch | None) -> None:
        """A message has come, in answer to a batch or about a bundle."""
        if result.HasField("bundle"):
            self._told.add(address)
            self._hand_over(_from_wire(address, result.bundle), result.bundle.completed)
        elif address not in self._told:
            counted = self._counted.setdefault(address, _Counted(address))
            counted.add(result, batch)
            self._hand_over(counted.numbers(), completed=False)

    def complete(self) -> None:
        """The call has ended."""
        for address, counted in self._counted.items():
            if address not in self._told:
                self._hand_over(counted.numbers(), completed=True)

    def _hand_over(self, numbers: dict[str, Any], completed: bool) -> None:
        if completed:
            self._handler.on_completed(ProcessBundleResponse(**numbers))
        else:
            self._handler.on_progress(ProcessBundleProgressResponse(**numbers))


class _Counted:
    """The bundle that all answers of a peer make."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._started = time.monotonic()
        self._numbers = dict.fromkeys(("batches", "rows_in", "rows_out", "bytes_in", "bytes_out"), 0)
        self._times = dict.fromkeys(_PARTS, 0)

    def add(self, result: exchange_pb2.BatchResult, batch: pa.RecordBatch | None) -> None:
        self._numbers["rows_out"] += result.rows
        for part in _PARTS:
            self._times[part] += getattr(result.timing, part)
        if result.last and batch is not None:
            self._numbers["batches"] += 1
            self._numbers["rows_in"] += batch.num_rows
            self._numbers["bytes_in"] += batch.nbytes

    def numbers(self) -> dict[str, Any]:
        seconds = {f"{part}_seconds": spent / _NANOSECONDS for part, spent in self._times.items()}
        elapsed = time.monotonic() - self._started
        return {"executor": self._address, "bundle": 0, **self._numbers, **seconds, "elapsed_seconds": elapsed}


def _from_wire(address: str, bundle: exchange_pb2.BundleProgress) -> dict[str, Any]:
    return {
        "executor": address,
        "bundle": bundle.bundle,
        "batches": bundle.batches,
        "rows_in": bundle.rows_in,
        "rows_out": bundle.rows_out,
        "bytes_in": bundle.bytes_in,
        "bytes_out": bundle.bytes_out,
        **{f"{part}_seconds": getattr(bundle.timing, part) / _NANOSECONDS for part in _PARTS},
        "elapsed_seconds": bundle.elapsed_ms / 1000,
        "metrics": {entry.function: user_metrics(entry.metrics) for entry in bundle.metrics},
    }
