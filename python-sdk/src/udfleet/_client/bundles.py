"""Bundles of running streams, for a progress handler."""

from __future__ import annotations

from typing import Any

from .._proto.udfleet.v1 import exchange_pb2
from ..progress import BundleProgressHandler, ProcessBundleProgressResponse, ProcessBundleResponse
from .user_metrics import user_metrics

_NANOSECONDS = 1e9


def tell(handler: BundleProgressHandler, address: str, bundle: exchange_pb2.BundleProgress) -> None:
    """Passes on what a peer says of a bundle."""
    numbers: dict[str, Any] = {
        "executor": address,
        "bundle": bundle.bundle,
        "batches": bundle.batches,
        "rows_in": bundle.rows_in,
        "rows_out": bundle.rows_out,
        "bytes_in": bundle.bytes_in,
        "bytes_out": bundle.bytes_out,
        "queue_seconds": bundle.timing.queue / _NANOSECONDS,
        "transfer_seconds": bundle.timing.transfer / _NANOSECONDS,
        "convert_seconds": bundle.timing.convert / _NANOSECONDS,
        "run_seconds": bundle.timing.run / _NANOSECONDS,
        "elapsed_seconds": bundle.elapsed_ms / 1000,
        "metrics": {entry.function: user_metrics(entry.metrics) for entry in bundle.metrics},
    }
    if bundle.completed:
        handler.on_completed(ProcessBundleResponse(**numbers))
    else:
        handler.on_progress(ProcessBundleProgressResponse(**numbers))
