"""A batch on its way, and what has come back for it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from .exchange_stream import ExchangeStream


class PendingBatch:
    """A batch on its way. Its answer comes in parts: one for scalar functions, any number for others."""

    __slots__ = (
        "_rows",
        "_skip",
        "attempt",
        "batch",
        "delivered",
        "done",
        "offset",
        "parts",
        "sequence",
        "size",
        "stream",
        "written",
    )

    def __init__(self, batch: pa.RecordBatch, size: int, offset: int) -> None:
        self.batch = batch
        self.size = size
        self.offset = offset
        """Its first row, as the caller counts rows."""
        self.sequence = 0
        """Its producer's number for it, the same for each attempt."""
        self.attempt = 1
        """Counts tries that may have run it."""
        self.stream: ExchangeStream | None = None
        self.written = False
        """It was given to its stream's connection, which was open: the peer may have it."""
        self.parts: deque[pa.RecordBatch] = deque()
        """What has come and was not handed out yet."""
        self.done = False
        """All parts have come."""
        self.delivered = False
        """Something was handed out: the batch can be sent again only where the same comes back."""
        self._rows = 0
        self._skip = 0

    def take(self, part: pa.RecordBatch | None) -> None:
        """A part of the answer has come; rows that came before a resend are left out."""
        if part is None:
            return
        if self._skip:
            skipped = min(self._skip, part.num_rows)
            self._skip -= skipped
            if skipped == part.num_rows:
                return
            part = part.slice(skipped)
        self._rows += part.num_rows
        self.parts.append(part)

    def hand_out(self) -> pa.RecordBatch | None:
        """The next part; None where the answer has no more."""
        if not self.parts:
            return None
        self.delivered = True
        return self.parts.popleft()

    def reset(self) -> None:
        """It goes out again: only what was not handed out before counts of the next answer."""
        self.stream = None
        self.written = False
        self.done = False
        if self.delivered:
            self._skip = self._rows
            return
        self.parts.clear()
        self._rows = self._skip = 0
