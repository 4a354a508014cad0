"""Waiting for Arrow Flight so that signals are handled while the wait lasts.

pyarrow waits in C++, where Python runs no signal handlers: without this, Ctrl-C would do nothing until the answer
comes. Only the main thread is given signals: others wait as they are. Imports neither pyarrow nor gRPC.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")

_SIGINT = int(signal.SIGINT)
_HANDLED = [
    int(getattr(signal, name))
    for name in ("SIGTERM", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]
# Asked before each read: signal.getsignal takes 4 us to make enum members of what this gives in 0.1 us.
_handler: Callable[[int], Any] = importlib.import_module("_signal").getsignal


def read_chunk(reader: Any) -> Any:
    """`reader.read_chunk()`. A handler that raises ends it at once and cancels the stream.

    Costs three microseconds in the main thread of a program with Python's own handlers. Where a program has handlers
    of its own, which need not raise, another thread reads, and this one waits for it as Python's own functions wait.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return reader.read_chunk()
    if _handler(_SIGINT) is not signal.default_int_handler:
        return interruptible(reader.read_chunk, reader.cancel)
    for number in _HANDLED:
        if callable(_handler(number)):
            return interruptible(reader.read_chunk, reader.cancel)
    return _cancelled_by_interrupt(reader)


def interruptible(wait: Callable[[], _T], cancel: Callable[[], Any] | None = None) -> _T:
    """The result of `wait`, which runs in another thread where this is the main one.

    :param cancel: makes `wait` return soon when a signal handler has raised; without it, its end is not awaited.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return wait()
    waiting = _helper().submit(wait)
    try:
        return waiting.result()
    except BaseException as error:
        if not waiting.done():
            if cancel is not None:
                cancel()
                # Whoever cleans up after this must have the stream for itself.
                concurrent.futures.wait([waiting])
            error.udfleet_handler = True  # type: ignore[attr-defined]
        raise


def raised_by_handler(error: BaseException) -> bool:
    """Whether a signal handler raised it. TimeoutError is an OSError, as pyarrow's failures of transport are."""
    return getattr(error, "udfleet_handler", False)


def _cancelled_by_interrupt(reader: Any) -> Any:
    watcher = _watcher()
    watcher.reader = reader
    try:
        before = signal.set_wakeup_fd(watcher.wakeup, warn_on_full_buffer=False)
    except ValueError:
        # Another interpreter than the first of this process: it is given no signals.
        return reader.read_chunk()
    try:
        try:
            return reader.read_chunk()
        finally:
            signal.set_wakeup_fd(before)
            watcher.reader = None
    except KeyboardInterrupt:
        # Without the cancelled read that came before it.
        raise KeyboardInterrupt from None


class _Watcher:
    """A thread that hears of SIGINT while the main thread waits in C++, and cancels what that waits for."""

    def __init__(self) -> None:
        self._received, self.wakeup = os.pipe()
        os.set_blocking(self.wakeup, False)
        self.reader: Any = None
        threading.Thread(target=self._watch, name="udfleet-interrupts", daemon=True).start()

    def _watch(self) -> None:
        # The interpreter writes the number of each signal that it is given.
        while numbers := os.read(self._received, 512):
            reader = self.reader
            if reader is not None and _SIGINT in numbers:
                reader.cancel()


_lock = threading.Lock()
_made: dict[str, Any] = {}


def _watcher() -> _Watcher:
    found: _Watcher | None = _made.get("watcher")
    if found is None:
        with _lock:
            found = _made.setdefault("watcher", _Watcher())
    return found


def _helper() -> concurrent.futures.ThreadPoolExecutor:
    found: concurrent.futures.ThreadPoolExecutor | None = _made.get("helper")
    if found is None:
        pool = concurrent.futures.ThreadPoolExecutor(8, thread_name_prefix="udfleet-wait")
        with _lock:
            found = _made.setdefault("helper", pool)
    return found


def _after_fork() -> None:
    """Threads stay with the parent, and what is written to its pipe reaches it."""
    global _lock
    _lock = threading.Lock()
    if _made.pop("watcher", None) is not None:
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)
    _made.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
