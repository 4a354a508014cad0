"""Processes that are forked from a connected one: gRPC's threads stay with the parent, so that nothing works in them.

What a forked process inherits is neither used nor ended there: it shares the parent's sockets, and its end would wait
for threads that are not there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from .errors import ForkedProcessError

_SETTING = "GRPC_ENABLE_FORK_SUPPORT"

_connected: weakref.WeakSet[Any] = weakref.WeakSet()
_used = False
_inherited = False
_lock = threading.Lock()


def check() -> None:
    """Before anything of gRPC is touched.

    :raises ForkedProcessError: this process was forked from one that had used gRPC.
    """
    if _inherited:
        raise ForkedProcessError(
            "this process was forked from one that is connected to a fleet, and gRPC does not work in it",
            hint="start processes another way, as multiprocessing.get_context('spawn') does, "
            "or connect only after they are forked",
        )


def inherited() -> bool:
    """Whether what this process holds of connections is its parent's."""
    return _inherited


def holds_connection(holder: Any) -> None:
    """Remembers an object that holds something of gRPC's: in a forked process it is never freed."""
    global _used
    _used = True
    with _lock:
        _connected.add(holder)


@contextlib.contextmanager
def without_grpc_fork_support() -> Iterator[None]:
    """While gRPC starts: its own handlers of forks abort some of the processes that are forked, about one in fifty.

    They would only run a function before the program that a process becomes, as `subprocess` does for `preexec_fn`.
    """
    if _SETTING in os.environ:
        yield
        return
    os.environ[_SETTING] = "0"
    try:
        yield
    finally:
        os.environ.pop(_SETTING, None)


def _after_fork() -> None:
    global _inherited, _lock
    _lock = threading.Lock()
    if not _used:
        return
    _inherited = True
    for holder in list(_connected):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(holder))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
