"""Progress of running calls: what a handler given as `progress_handler=` hears."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ProcessBundleProgressResponse:
    """How far a bundle is: everything counts from its beginning."""

    bundle: int
    """Its number within the call, from 0."""
    batches: int
    """Batches answered in full."""
    rows: int
    """Rows of results."""
    bytes: int
    """Bytes of the batches answered."""
    queue_seconds: float
    transfer_seconds: float
    convert_seconds: float
    run_seconds: float
    metrics: list[Any] = field(default_factory=list)
    """User metrics that changed."""


@dataclass(frozen=True)
class ProcessBundleResponse(ProcessBundleProgressResponse):
    """A bundle that has ended."""


class BundleProgressHandler:
    """Subclass it, and give it as `progress_handler=` to `Fleet.call`, `Fleet.stream` or `Table.execute`."""

    def on_progress(self, progress: ProcessBundleProgressResponse) -> None:
        """Hears of a bundle while it runs."""

    def on_completed(self, response: ProcessBundleResponse) -> None:
        """Hears of a bundle when it has ended well."""

    @staticmethod
    def ignored() -> BundleProgressHandler:
        """A handler that does nothing."""
        return BundleProgressHandler()
