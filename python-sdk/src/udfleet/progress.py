"""Progress of running calls: what a handler given as `progress_handler=` hears. Needs no other package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ProcessBundleProgressResponse:
    """How far a bundle is: a run of batches of one stream at one executor. All counts from its beginning."""

    executor: str
    """The address of the stream's peer."""
    bundle: int
    """Counts up from 0 on one stream."""
    batches: int
    """Batches answered in full."""
    rows_in: int
    rows_out: int
    bytes_in: int
    bytes_out: int
    queue_seconds: float
    transfer_seconds: float
    convert_seconds: float
    run_seconds: float
    elapsed_seconds: float
    """Since its first batch came."""
    metrics: dict[str, list[Any]] = field(default_factory=dict)
    """User metrics of the functions (`add@3`) on that executor, as `ProgressView.metrics` has them."""


@dataclass(frozen=True)
class ProcessBundleResponse(ProcessBundleProgressResponse):
    """A bundle that has ended."""


class BundleProgressHandler:
    """Subclass it, and give it as `progress_handler=` to `Fleet.call`, `Fleet.stream` or `Table.execute`."""

    def on_progress(self, progress: ProcessBundleProgressResponse) -> None:
        """Hears of a bundle while it runs."""

    def on_completed(self, response: ProcessBundleResponse) -> None:
        """Hears of a bundle when it has ended."""

    @staticmethod
    def ignored() -> BundleProgressHandler:
        """A handler that does nothing."""
        return BundleProgressHandler()
