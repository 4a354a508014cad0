"""Cuts large batches, so that one batch can use the whole fleet, and joins the answers again."""

from __future__ import annotations

from collections import deque

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


class Joiner:
    """Puts the answers of pieces together: one batch in, one batch out."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque()
        self._parts: list[pa.RecordBatch] = []

    def expect(self, count: int) -> None:
        """The next batch went out in that many pieces."""
        self._counts.append(count)

    def add(self, answer: pa.RecordBatch) -> pa.RecordBatch | None:
        """Takes the next answer; returns a batch when its last piece is there."""
        if self._counts[0] == 1:
            self._counts.popleft()
            return answer
        self._parts.append(answer)
        if len(self._parts) < self._counts[0]:
            return None
        self._counts.popleft()
        parts, self._parts = self._parts, []
        return pa.concat_batches(parts)
