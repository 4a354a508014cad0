"""Requests about state as bytes on a socket."""

from __future__ import annotations

import io
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from udfleet._state.channel import StateChannel, StateError


@contextmanager
def answered(answer: bytes, requests: list[bytes]) -> Iterator[StateChannel]:
    """A channel whose other end answers one request with these bytes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs, theirs.makefile("rwb") as file:
            (length,) = struct.unpack("<I", file.read(4))
            requests.append(file.read(length))
            file.write(struct.pack("<I", len(answer)) + answer)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        channel = StateChannel(ours)
        channel.token = 7
        yield channel
    thread.join()


def test_keys_are_read() -> None:
    requests: list[bytes] = []
    with answered(b"\0\0\1\1\0\0\0v", requests) as channel:
        assert channel.read([b"a", b""]) == [None, b"v"]
    assert requests == [b"\x07\0\0\0\0\0\0\0\x01\x02\0\0\0\x01\0\0\0a\0\0\0\0"]


def test_a_page_is_read() -> None:
    requests: list[bytes] = []
    with answered(b"\0\1\1\0\0\0k\1\0\0\0v", requests) as channel:
        assert channel.page(b"p", b"q", 9) == ([(b"k", b"v")], True)
    assert requests == [b"\x07\0\0\0\0\0\0\0\x02\x01\0\0\0p\x01\x01\0\0\0q\x09\0\0\0"]


def test_changes_are_written() -> None:
    requests: list[bytes] = []
    with answered(b"\0", requests) as channel:
        channel.write([b"c"], [(b"k", None), (b"l", b"v")])
    body = b"\x01\0\0\0\x01\0\0\0c\x02\0\0\0\x01\0\0\0k\0\x01\0\0\0l\x01\x01\0\0\0v"
    assert requests == [b"\x07\0\0\0\0\0\0\0\x03" + body]


class Owner:
    """The other end of a channel, over a dict: it answers with at most `values` values at a time."""

    def __init__(self, values: int = 1 << 30) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.requests: list[int] = []
        self._values = values

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            while head := file.read(4):
                (length,) = struct.unpack("<I", head)
                self.requests.append(length)
                answer = b"\0" + self._answer(io.BytesIO(file.read(length)[8:]))
                file.write(struct.pack("<I", len(answer)) + answer)
                file.flush()

    def _answer(self, request: io.BytesIO) -> bytes:
        def number() -> int:
            found: int = struct.unpack("<I", request.read(4))[0]
            return found

        def text() -> bytes:
            return request.read(number())

        if request.read(1) == b"\1":
            values = [self.entries.get(text()) for _ in range(number())][: self._values]
            return b"".join(b"\0" if v is None else b"\1" + struct.pack("<I", len(v)) + v for v in values)
        for _ in range(number()):
            prefix = text()
            self.entries = {key: value for key, value in self.entries.items() if not key.startswith(prefix)}
        for _ in range(number()):
            key = text()
            if request.read(1) == b"\1":
                self.entries[key] = text()
            else:
                self.entries.pop(key, None)
        return b""


@contextmanager
def owned_by(owner: Owner) -> Iterator[StateChannel]:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=owner.serve, args=(theirs,))
    thread.start()
    with ours:
        yield StateChannel(ours)
    thread.join()


def test_no_request_grows_with_the_bundle() -> None:
    owner = Owner()
    keys = [b"key-%05d" % number for number in range(25_000)]
    large = {b"large-%d" % number: bytes(3 << 20) for number in range(4)}
    with owned_by(owner) as channel:
        channel.write([b"none", *keys[:15_000]], [*((key, key) for key in keys), *large.items(), (keys[7], None)])
        assert len(owner.entries) == len(keys) + len(large) - 1
        assert channel.read(keys) == [None if key == keys[7] else key for key in keys]
        assert channel.read(list(large)) == list(large.values())
    assert max(owner.requests) < 9 << 20


def test_a_short_answer_is_asked_on_from() -> None:
    owner = Owner(values=3)
    owner.entries = {b"b": b"1", b"g": b"2"}
    with owned_by(owner) as channel:
        assert channel.read([b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"a"]) == [None, b"1", *[None] * 4, b"2", None]
    assert len(owner.requests) == 3


def test_an_answer_without_values_or_with_more_than_were_asked_for_is_an_error() -> None:
    for answer in (b"\0", b"\0\0\0"):
        with answered(answer, []) as channel, pytest.raises(StateError, match="other keys"):
            channel.read([b"a"])


def test_a_failure_says_why() -> None:
    with answered(b"\1the disk is full", []) as channel, pytest.raises(StateError, match="the disk is full"):
        channel.read([b"a"])


def test_an_executor_that_is_gone_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(StateError):
        StateChannel(ours).read([b"a"])
