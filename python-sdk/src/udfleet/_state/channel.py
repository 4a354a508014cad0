"""Requests about state to this interpreter's executor, over a socket of their own.

`executor/src/link/state_wire.rs` is the other end.
"""

from __future__ import annotations

import os
import socket
import struct
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTOR = 4
"""Where the executor puts the socket."""

_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<QB")
_READ, _PAGE, _WRITE = 1, 2, 3


def _put(parts: list[bytes], text: bytes) -> None:
    parts.append(_LENGTH.pack(len(text)))
    parts.append(text)


class StateError(RuntimeError):
    """State that can't be read or written."""


class StateChannel:
    """The backend of all keyed states of this interpreter. One bundle runs at a time."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        # A duplicate: functions come and go, and close theirs.
        self._socket = socket.socket(fileno=os.dup(DESCRIPTOR)) if connection is None else connection
        self._lock = threading.Lock()
        self.token = 0
        """That of the bundle that runs."""

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, in their order."""
        parts = [_LENGTH.pack(len(keys))]
        for key in keys:
            _put(parts, key)
        answer = _Answer(self._ask(_READ, parts))
        return [answer.text() if answer.flag() else None for _ in keys]

    def page(self, prefix: bytes, after: bytes | None, limit: int) -> tuple[list[tuple[bytes, bytes]], bool]:
        """At most `limit` entries whose keys begin with `prefix`, behind `after`; whether they are the last."""
        parts: list[bytes] = []
        _put(parts, prefix)
        if after is None:
            parts.append(b"\0")
        else:
            parts.append(b"\1")
            _put(parts, after)
        parts.append(_LENGTH.pack(min(limit, 0xFFFFFFFF)))
        answer = _Answer(self._ask(_PAGE, parts))
        is_last = answer.flag()
        entries = []
        while not answer.is_done():
            entries.append((answer.text(), answer.text()))
        return entries, is_last

    def write(self, cleared: Sequence[bytes], changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Deletes all that begins with one of `cleared`, then writes values, or deletes where there is None."""
        parts = [_LENGTH.pack(len(cleared))]
        for prefix in cleared:
            _put(parts, prefix)
        parts.append(_LENGTH.pack(len(changes)))
        for key, value in changes:
            _put(parts, key)
            if value is None:
                parts.append(b"\0")
            else:
                parts.append(b"\1")
                _put(parts, value)
        self._ask(_WRITE, parts)

    def _ask(self, kind: int, parts: list[bytes]) -> bytes:
        request = b"".join([_HEAD.pack(self.token, kind), *parts])
        with self._lock:
            try:
                self._socket.sendall(_LENGTH.pack(len(request)) + request)
                (length,) = _LENGTH.unpack(self._receive(_LENGTH.size))
                answer = self._receive(length)
            except OSError as error:
                raise StateError(f"the executor does not answer about keyed state: {error}") from None
        if answer[:1] != b"\0":
            raise StateError(answer[1:].decode("utf-8", "replace"))
        return answer[1:]

    def _receive(self, length: int) -> bytes:
        buffer = bytearray(length)
        view, filled = memoryview(buffer), 0
        while filled < length:
            count = self._socket.recv_into(view[filled:])
            if count == 0:
                raise ConnectionError("it has ended the conversation")
            filled += count
        return bytes(buffer)


class _Answer:
    """Reads the parts of an answer."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def flag(self) -> bool:
        self._at += 1
        return self._data[self._at - 1] == 1

    def text(self) -> bytes:
        (length,) = _LENGTH.unpack_from(self._data, self._at)
        start = self._at + _LENGTH.size
        self._at = start + length
        return self._data[start : self._at]

    def is_done(self) -> bool:
        return self._at >= len(self._data)
