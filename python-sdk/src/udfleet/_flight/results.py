"""Assembles the parts of results: joined into one per batch, or passed on as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc


class ResultAssembler(Protocol):
    """Takes parts in their order."""

    def expect(self, rows: Sequence[int]) -> None:
        """The next batch goes out in pieces of so many rows."""

    def add(self, part: pa.RecordBatch | None, last: bool) -> pa.RecordBatch | None:
        """Takes a part, the last of its piece or not; returns what the caller gets now."""

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What is left when all has come."""


class JoinedResults:
    """One batch out for each batch in: of scalar functions."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque()
        self._parts: list[pa.RecordBatch] = []

    def expect(self, rows: Sequence[int]) -> None:
        """See ResultAssembler."""
        self._counts.append(len(rows))

    def add(self, part: pa.RecordBatch | None, last: bool) -> pa.RecordBatch | None:
        """See ResultAssembler."""
        if part is not None:
            if last and self._counts[0] == 1 and not self._parts:
                self._counts.popleft()
                return part
            self._parts.append(part)
        if last:
            self._counts[0] -= 1
        if self._counts[0]:
            return None
        self._counts.popleft()
        parts, self._parts = self._parts, []
        return pa.concat_batches(parts) if parts else None

    def rest(self) -> Iterator[pa.RecordBatch]:
        """See ResultAssembler."""
        return iter(())


class UnjoinedResults:
    """UnjoinedResults as they come, empty ones left out; one empty part where nothing else came, for its columns."""

    def __init__(self) -> None:
        self._empty: pa.RecordBatch | None = None
        self._some = False

    def expect(self, rows: Sequence[int]) -> None:
        """See ResultAssembler."""

    def add(self, part: pa.RecordBatch | None, last: bool) -> pa.RecordBatch | None:
        """See ResultAssembler."""
        if part is not None and part.num_rows == 0:
            self._empty = part
            return None
        self._some = self._some or part is not None
        return part

    def rest(self) -> Iterator[pa.RecordBatch]:
        """See ResultAssembler."""
        if not self._some and self._empty is not None:
            yield self._empty


class NumberedResults(UnjoinedResults):
    """UnjoinedResults of a table function: `row` counts the rows of the whole stream, as BIGINT."""

    _ROW = pa.field("row", pa.int64(), nullable=False)

    def __init__(self) -> None:
        super().__init__()
        self._starts: deque[int] = deque()
        self._sent = 0

    def expect(self, rows: Sequence[int]) -> None:
        """See ResultAssembler."""
        for count in rows:
            self._starts.append(self._sent)
            self._sent += count

    def add(self, part: pa.RecordBatch | None, last: bool) -> pa.RecordBatch | None:
        """See ResultAssembler."""
        if part is not None:
            row = pc.add(part.column(0).cast(pa.int64()), self._starts[0])
            part = part.set_column(0, self._ROW, row)
        if last:
            self._starts.popleft()
        return super().add(part, last)
