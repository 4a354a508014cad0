"""Streams of peers that say nothing. Each peer is asked to say every so often how a stream stands, so that one that is
silent hangs, however long its calls take.

pyarrow waits in C++, without a limit of time: a thread looks at the streams that wait, and cancels those that have
waited for too many looks. Time in which this process is suspended is one look.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from typing import Any

LOOK_SECONDS = 5.0
"""How often peers say how a stream stands, and how often streams are looked at."""
LOOKS = 12
"""Looks without a word until a stream counts as lost: more than coordinators wait for executors."""
_BYTES_PER_LOOK = 4 << 20
"""A batch that is written has a look more for each of these: peers can't be heard meanwhile."""


class Patience:
    """What is left of a wait for the peer of one stream."""

    __slots__ = ("__weakref__", "_judged", "_left", "_reader", "silent")

    def __init__(self, reader: Any, judged: bool = True) -> None:
        """:param judged: the peer says how streams stand. Of one of an older version, silence means nothing."""
        self._reader = reader
        self._judged = judged
        self._left = 0
        """Looks; 0: nobody waits."""
        self.silent = False
        """The peer has said nothing for too long: the stream was cancelled."""
        with _lock:
            _waiting.add(self)
            _ensure_watched()

    def begin(self, size: int = 0) -> None:
        """A wait begins, or the peer has said something.

        :param size: bytes that are written before it can be heard.
        """
        if self._judged:
            self._left = LOOKS + size // _BYTES_PER_LOOK

    def end(self) -> None:
        """The wait is over."""
        self._left = 0

    def look(self) -> None:
        """One more look without a word."""
        if self._left == 0:
            return
        self._left -= 1
        if self._left == 0:
            self.silent = True
            # It may end by itself just now.
            with contextlib.suppress(Exception):
                self._reader.cancel()


def seconds() -> float:
    """How long a peer may say nothing."""
    return LOOK_SECONDS * LOOKS


_lock = threading.Lock()
_waiting: weakref.WeakSet[Patience] = weakref.WeakSet()
_watching: list[threading.Thread] = []


def _ensure_watched() -> None:
    """Starts the thread that looks, where none is alive. The caller holds the lock."""
    if any(thread.is_alive() for thread in _watching):
        return
    thread = threading.Thread(target=_watch, name="udfleet-silence", daemon=True)
    # Where the machine has no room for a thread, the next stream tries again, and is then watched with this one.
    with contextlib.suppress(RuntimeError):
        thread.start()
        _watching[:] = [thread]


def _watch() -> None:
    while True:
        with _lock:
            # Two of them would count twice: it ends where another has taken its place.
            if threading.current_thread() not in _watching:
                return
        time.sleep(LOOK_SECONDS)
        with _lock:
            streams = list(_waiting)
        for stream in streams:
            stream.look()


def _after_fork() -> None:
    """Streams and the thread stay with the parent."""
    global _lock
    _lock = threading.Lock()
    _waiting.clear()
    _watching.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
