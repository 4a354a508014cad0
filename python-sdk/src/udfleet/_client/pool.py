"""Streams kept open between calls, for `Fleet.call` and for engines, whose many threads make many small calls."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable

import pyarrow as pa

from .. import _fork
from .._flight import streaming
from .._flight.pipeline import Pipeline
from .._flight.results import JoinedResults
from .._packing.definition import on_error_value
from ..errors import UnreachableError
from .runner import Runner

STREAM_SECONDS = 5.0
"""How long a stream is used. The next one goes to whoever serves by then, and a draining executor gets rid of its
streams, which it waits for."""
MAX_IDLE = 64
"""Streams kept while no call uses them, over all functions."""

_Key = tuple[str, str, "str | None", pa.Schema]
"""A function, the version that its route leads to, what becomes of failing rows, and the columns."""


class _Kept:
    """An open pipeline, when it is not used any more, and what it is for: a stream has one schema."""

    __slots__ = ("key", "pipeline", "until")

    def __init__(self, key: _Key, pipeline: Pipeline) -> None:
        self.key = key
        self.pipeline = pipeline
        self.until = time.monotonic() + STREAM_SECONDS


class StreamPool:
    """Calls of scalar functions from any number of threads. A pipeline serves one call at a time.

    Not thread-local, because engines' threads come and go, and take what is theirs with them at times when Python is
    not in the state to clean up.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._lock = threading.Lock()
        self._idle: list[_Kept] = []
        self._reaper: threading.Timer | None = None
        self._closed = False

    def call(
        self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], on_error: str | None = None
    ) -> list[pa.RecordBatch]:
        """One batch of results for each batch; several go to several executors. Errors count rows from the first."""
        # A wrong mode is refused before it is compared with those of other streams.
        mode = on_error if on_error_value(on_error) else None
        kept = self._take((name, self._runner.reference(name), mode, schema))
        try:
            limit = self._runner.max_frame_bytes
            answers = list(streaming.run(kept.pipeline, batches, limit, JoinedResults(), whole=True))
        except BaseException:
            kept.pipeline.close()
            raise
        self._give_back(kept)
        return answers

    def check(self, name: str, schema: pa.Schema) -> None:
        """Asks whether a function takes columns of these types. It is not called.

        :raises InvalidInputError: it does not.
        """
        with contextlib.closing(self._runner.pipeline(self._runner.function(name))) as pipeline:
            pipeline.check(schema)

    def _take(self, key: _Key) -> _Kept:
        _fork.check()
        now = time.monotonic()
        with self._lock:
            if self._closed:
                raise UnreachableError("this connection is closed", hint="connect again")
            # The newest first: the others get old and are closed.
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index].key == key and self._idle[index].until > now:
                    return self._idle.pop(index)
        name, _, on_error, _ = key
        return _Kept(key, self._runner.pipeline(self._runner.function(name, on_error)))

    def _give_back(self, kept: _Kept) -> None:
        with self._lock:
            keep = not self._closed and kept.until > time.monotonic()
            if keep:
                self._idle.append(kept)
                self._watch()
            surplus = [self._idle.pop(0)] if len(self._idle) > MAX_IDLE else []
        for other in surplus if keep else [kept]:
            other.pipeline.close()

    def _watch(self) -> None:
        """Without calls nothing else would notice that a stream has expired."""
        if self._reaper is None and self._idle and not self._closed:
            self._reaper = threading.Timer(STREAM_SECONDS, self._reap)
            self._reaper.daemon = True
            self._reaper.start()

    def _reap(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._reaper = None
            over = [kept for kept in self._idle if kept.until <= now]
            self._idle = [kept for kept in self._idle if kept.until > now]
            self._watch()
        for kept in over:
            kept.pipeline.close()

    def forget(self, name: str) -> None:
        """Ends the idle streams of a function, which is dropped: they would still be served."""
        with self._lock:
            over = [kept for kept in self._idle if name in (kept.key[0], kept.key[0].partition("@")[0])]
            self._idle = [kept for kept in self._idle if kept not in over]
        for kept in over:
            kept.pipeline.close()

    def close(self) -> None:
        """Ends the streams; calls fail from now on."""
        if _fork.inherited():
            return
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            reaper, self._reaper = self._reaper, None
        if reaper is not None:
            reaper.cancel()
        for kept in idle:
            kept.pipeline.close()
