"""Cuts large batches, so that one batch can use the whole fleet."""

from __future__ import annotations

import pyarrow as pa

SLICED_FROM_BYTES = 2 << 20
PIECE_BYTES = 1 << 20
PIECE_MIN_ROWS = 10_000


def pieces(batch: pa.RecordBatch, size: int) -> list[pa.RecordBatch]:
    """The batch in order, in pieces of about PIECE_BYTES and at least PIECE_MIN_ROWS; whole when it is small."""
    rows = batch.num_rows
    if size <= SLICED_FROM_BYTES or rows < 2 * PIECE_MIN_ROWS:
        return [batch]
    count = min(-(-size // PIECE_BYTES), rows // PIECE_MIN_ROWS)
    bounds = [rows * index // count for index in range(count + 1)]
    return [batch.slice(start, end - start) for start, end in zip(bounds, bounds[1:], strict=False)]
