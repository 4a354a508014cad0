"""`Fleet`: everything that a client asks of a fleet."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

import pyarrow as pa

from .. import __version__
from .._flight import streaming
from .._flight.directory import Directory
from .._flight.pipeline import Pipeline
from .._rpc import Rpc
from ..environment import Environment
from ..errors import UdfleetError
from .columns import to_batch
from .exchange import Exchange
from .progress import shown
from .registration import OnEvent, register
from .views import (
    ExecutorView,
    FunctionView,
    LogRecord,
    ProgressView,
    executor_view,
    function_view,
    log_record,
    progress_view,
)

__all__ = ["Exchange", "Fleet", "connect"]

DEFAULT_ADDRESS = "127.0.0.1:8815"
_MAX_FRAME_BYTES = 256 << 20
_MAX_ATTEMPTS = 3


def connect(
    address: str = DEFAULT_ADDRESS,
    token: str | None = None,
    job: str = "default",
    job_parameters: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    direct: bool = True,
) -> Fleet:
    """Connects to a coordinator and checks that it answers.

    :param address: `host:port`.
    :param token: the fleet's token, where it has one.
    :param job: the name of this session.
    :param job_parameters: what `FunctionContext.get_job_parameter` answers in functions registered here.
    :param config: configuration of functions registered here; what `register_function` is given wins.
    :param direct: False sends all batches through the coordinator.
    """
    fleet = Fleet(address, token, job, job_parameters, config, direct=direct)
    try:
        fleet.check()
    except BaseException:
        fleet.close()
        raise
    return fleet


class Fleet:
    """A connection to a fleet: a context manager, thread-safe, reconnects by itself. Made by `connect` or `local`."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        job: str = "default",
        job_parameters: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        direct: bool = True,
    ) -> None:
        self.address = address.partition("://")[2] or address
        self.job = job
        self._job_parameters = dict(job_parameters or {})
        self._config = dict(config or {})
        self._direct = direct
        self._rpc = Rpc(self.address, token)
        self._directory = Directory(self._rpc, token)
        self._max_frame_bytes = _MAX_FRAME_BYTES

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<udfleet.Fleet {self.address}>"

    def close(self) -> None:
        """Closes the connections. What is registered stays registered."""
        self._directory.close()
        self._rpc.close()

    def check(self) -> str:
        """Asks the coordinator who it is; returns its version. Fails when it is away, or of another minor version."""
        info = self._rpc.server_info(__version__)
        self._max_frame_bytes = info.max_frame_bytes or _MAX_FRAME_BYTES
        return info.version

    @property
    def http_address(self) -> str:
        """host:port of /metrics, /healthz and /readyz."""
        return self._rpc.server_info(__version__).http_address

    def register_function(
        self,
        name: str,
        f: Any,
        environment: Environment | None = None,
        config: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        on_event: OnEvent | None = None,
        on_error: str | None = None,
    ) -> FunctionView:
        """Registers what `udf`, `udtf`, `udaf` or `udtaf` declared; returns when it can be called.

        :param environment: its Python and packages; None: a bare Python of this client's version.
        :param config: configuration keys of this function.
        :param timeout: seconds until giving up; 600 by default.
        :param on_error: what becomes of rows that it raises for: `fail` (the default) fails the call, `null` gives
            null for the row, `skip` leaves the row out. What a call is given wins.
        :param on_event: gets each line about what is going on; without it, stderr does when it is a terminal.
        :raises UdfleetError: why the function can't be called; nothing is registered then.
        """
        merged = {**self._config, **(config or {})}
        try:
            view = register(
                self._rpc, name, f, environment, merged, self._job_parameters, self.job, timeout, on_event, on_error
            )
        finally:
            self._directory.forget(name)
        return view

    def _pipeline(self, name: str, **limits: int) -> Pipeline:
        attempts = functools.partial(self._max_attempts, name)
        return Pipeline(self._directory, name, self.job, direct=self._direct, max_attempts=attempts, **limits)

    def _max_attempts(self, name: str) -> int:
        """How often a batch of this function is tried; asked for when a batch was lost only."""
        with contextlib.suppress(UdfleetError):
            return int(self.function(name).config.get("udfleet.retry.max-attempts", _MAX_ATTEMPTS))
        return _MAX_ATTEMPTS

    def call(self, name: str, *columns: Any, rows: int | None = None) -> pa.Array:
        """Calls a function on columns; returns the results.

        Lists and other iterables, numpy arrays, pandas Series and pyarrow arrays are columns; any other value is taken
        for all rows. With values only, one row is sent, or `rows` rows.
        """
        batch = to_batch(name, columns, self._directory.route(name).inputs, rows)
        with contextlib.closing(self._pipeline(name)) as pipeline:
            (answer,) = list(streaming.run(pipeline, [batch], self._max_frame_bytes))
        return answer.column(0)

    def stream(
        self, name: str, batches: Iterable[pa.RecordBatch] | pa.Table, progress: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Calls a function on batches, as many as there are: one batch of results for each, in order, constant memory.

        :param batches: RecordBatches of one schema: an iterable, a RecordBatchReader or a Table.
        :param progress: shows a bar on stderr; where that is no terminal, a line every few seconds.
        """
        total = batches.num_rows if isinstance(batches, pa.Table) else None
        if isinstance(batches, (list, tuple)):
            total = sum(batch.num_rows for batch in batches if isinstance(batch, pa.RecordBatch))
        source = batches.to_batches() if isinstance(batches, pa.Table) else batches
        answers = self._stream(name, source)
        return shown(name, answers, total) if progress else answers

    def _stream(self, name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with contextlib.closing(self._pipeline(name)) as pipeline:
            yield from streaming.run(pipeline, batches, self._max_frame_bytes)

    def exchange(self, name: str) -> Exchange:
        """Opens a stream to one executor, for many small calls at the least latency."""
        return Exchange(self._pipeline(name, max_links=1))

    def functions(self, all_versions: bool = False) -> list[FunctionView]:
        """The registered functions, in their newest or in all versions."""
        return [function_view(info) for info in self._rpc.functions(all_versions)]

    def function(self, name: str) -> FunctionView:
        """One function: `name`, or `name@version`."""
        return function_view(self._rpc.describe(name))

    def drop_function(self, name: str) -> list[str]:
        """Drops a function with all its versions, or the one version `name@3`; returns what was dropped."""
        try:
            return self._rpc.drop(name)
        finally:
            self._directory.forget(name)

    def executors(self) -> list[ExecutorView]:
        """The executors of the fleet."""
        return [executor_view(info) for info in self._rpc.executors()]

    def drain(self, executor: str, undo: bool = False) -> ExecutorView:
        """Takes an executor out of service once what runs has finished; `undo` takes it back."""
        return executor_view(self._rpc.drain(executor, undo))

    @overload
    def progress(self) -> list[ProgressView]: ...

    @overload
    def progress(self, name: str) -> ProgressView: ...

    def progress(self, name: str = "") -> ProgressView | list[ProgressView]:
        """Numbers of one function (`name` sums its versions, `name@3` is one), or of all functions as a list."""
        views = [progress_view(message) for message in self._rpc.progress(name)]
        return views[0] if name and views else views

    def logs(self, name: str = "", tail: int = 0, follow: bool = False) -> Iterator[LogRecord]:
        """What a function, or all, wrote to stdout and stderr: the newest `tail` lines, or all that is kept."""
        return (log_record(line) for line in self._rpc.logs(name, tail, follow))
