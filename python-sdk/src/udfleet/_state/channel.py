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
    from collections.abc import Iterable, Iterator, Sequence

DESCRIPTOR = 4
"""Where the executor puts the socket."""

_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<QB")
_READ, _PAGE, _WRITE = 1, 2, 3
_MAX_BYTES = 4 << 20
"""What a request has at most, unless one entry has more: the executor takes 64 MiB."""
_MAX_ITEMS = 10_000
"""Keys or changes of a request."""
_MAX_LENGTH = 0xFFFFFFFF

# All functions of an interpreter ask over one socket.
_conversation = threading.Lock()


def _text(text: bytes) -> bytes:
    return _LENGTH.pack(len(text)) + text


def _change(key: bytes, value: bytes | None) -> bytes:
    return _text(key) + (b"\0" if value is None else b"\1" + _text(value))


def _chunks(items: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Items in their order, as many at a time as a request has."""
    chunk: list[bytes] = []
    size = 0
    for item in items:
        if chunk and (size + len(item) > _MAX_BYTES or len(chunk) == _MAX_ITEMS):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += len(item)
    if chunk:
        yield chunk


def _counted(items: Sequence[bytes]) -> bytes:
    return _LENGTH.pack(len(items)) + b"".join(items)


class StateError(RuntimeError):
    """State that can't be read or written."""


class StateChannel:
    """The backend of all keyed states of this interpreter. One bundle runs at a time."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        # A duplicate: functions come and go, and close theirs.
        self._socket = socket.socket(fileno=os.dup(DESCRIPTOR)) if connection is None else connection
        self.token = 0
        """That of the bundle that runs."""

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, in their order."""
        values: list[bytes | None] = []
        for chunk in _chunks(map(_text, keys)):
            left = len(values) + len(chunk)
            while len(values) < left:
                answer = _Answer(self._ask(_READ, _counted(chunk[len(values) - left :])))
                before = len(values)
                # Of large values an answer has only the first ones.
                while not answer.is_done():
                    values.append(answer.text() if answer.flag() else None)
                if not before < len(values) <= left:
                    raise StateError("the executor answers about other keys of a state than it was asked for")
        return values

    def page(self, prefix: bytes, after: bytes | None, limit: int) -> tuple[list[tuple[bytes, bytes]], bool]:
        """At most `limit` entries whose keys begin with `prefix`, behind `after`; whether they are the last. Of large
        ones they are fewer.
        """
        behind = b"\0" if after is None else b"\1" + _text(after)
        answer = _Answer(self._ask(_PAGE, _text(prefix) + behind + _LENGTH.pack(min(limit, _MAX_LENGTH))))
        is_last = answer.flag()
        entries = []
        while not answer.is_done():
            entries.append((answer.text(), answer.text()))
        return entries, is_last

    def write(self, cleared: Sequence[bytes], changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Deletes all that begins with one of `cleared`, then writes values, or deletes where there is None."""
        gone: list[bytes] = []
        for chunk in _chunks(map(_text, cleared)):
            if gone:
                self._ask(_WRITE, _counted(gone) + _counted(()))
            gone = chunk
        for chunk in _chunks(_change(key, value) for key, value in changes):
            self._ask(_WRITE, _counted(gone) + _counted(chunk))
            gone = []
        if gone:
            self._ask(_WRITE, _counted(gone) + _counted(()))

    def _ask(self, kind: int, body: bytes) -> bytes:
        length = _HEAD.size + len(body)
        if length > _MAX_LENGTH:
            raise StateError(f"a key or value of {length} bytes is more than a state can have")
        with _conversation:
            try:
                self._socket.sendall(_LENGTH.pack(length) + _HEAD.pack(self.token, kind) + body)
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
