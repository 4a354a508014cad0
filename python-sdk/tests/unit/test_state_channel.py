"""Requests about state as bytes on a socket."""

from __future__ import annotations

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


def test_a_failure_says_why() -> None:
    with answered(b"\1the disk is full", []) as channel, pytest.raises(StateError, match="the disk is full"):
        channel.read([b"a"])


def test_an_executor_that_is_gone_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(StateError):
        StateChannel(ours).read([b"a"])
