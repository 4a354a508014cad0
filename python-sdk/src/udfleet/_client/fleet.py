"""`Fleet`: everything that a client asks of a fleet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

import pyarrow as pa

from .. import __version__
from .._flight.directory import Directory
from .._rpc import Rpc
from ..declaration import UserDefinedFunctionWrapper
from ..environment import Environment
from ..errors import InvalidInputError
from ..progress import BundleProgressHandler
from .columns import to_batch
from .exchange import Exchange
from .inline import FleetFunctions
from .pool import StreamPool
from .progress import shown
from .reach import Reach
from .registration import OnEvent, register
from .runner import Batches, Runner
from .tables import Tables
from .views import (
    ExecutorView,
    FunctionView,
    LogRecord,
    ProfileView,
    ProgressView,
    RowErrorsView,
    executor_view,
    function_view,
    log_record,
    profile_view,
    progress_view,
    row_errors_view,
)

__all__ = ["Exchange", "Fleet", "connect"]

DEFAULT_ADDRESS = "127.0.0.1:8815"


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


class Fleet(Tables):
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
        self._reach = Reach(self.address, token, job, direct)
        self._job_parameters = dict(job_parameters or {})
        self._config = dict(config or {})
        self._rpc = Rpc(self.address, token)
        self._directory = Directory(self._rpc, token)
        self._functions = FleetFunctions(self.function, self._register_inline)
        self._runner = Runner(self._directory, self._functions.describe, job, direct)
        self._pool = StreamPool(self._runner)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<udfleet.Fleet {self.address}>"

    def close(self) -> None:
        """Closes the connections. What is registered stays registered."""
        self._pool.close()
        self._directory.close()
        self._rpc.close()

    def check(self) -> str:
        """Asks the coordinator who it is; returns its version. Fails when it is away, or of another minor version."""
        info = self._rpc.server_info(__version__)
        self._runner.max_frame_bytes = info.max_frame_bytes or self._runner.max_frame_bytes
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
            self._functions.forget()
        return view

    def _register_inline(self, f: UserDefinedFunctionWrapper) -> FunctionView:
        """Registers what a plan uses, under a name of its content."""
        return register(self._rpc, None, f, None, self._config, self._job_parameters, self.job)

    def call(
        self,
        name: str,
        *columns: Any,
        rows: int | None = None,
        on_error: str | None = None,
        progress_handler: BundleProgressHandler | None = None,
    ) -> Any:
        """Calls a function on columns; returns the results.

        Lists and other iterables, numpy arrays, pandas Series and pyarrow arrays are columns; any other value is taken
        for all rows. With values only, one row is sent, or `rows` rows.

        :param on_error: what becomes of rows that it raises for: `fail`, `null` or `skip`; None: as it was registered.
        :return: a pyarrow.Array of the results: one per row, fewer where rows are skipped, a single one of an
            aggregate function. Of a table function a pyarrow.Table: `row`, the row that each result belongs to, then
            the result's columns; of a table aggregate function these alone.
        """
        route = self._directory.route(name)
        batches = [to_batch(name, columns, route.inputs, rows)]
        parts = list(self._runner.run_function(name, Batches.of(batches), on_error, progress_handler))
        if route.kind in ("TABLE", "TABLE_AGGREGATE"):
            return pa.Table.from_batches(parts)
        return parts[0].column(0) if len(parts) == 1 else pa.concat_batches(parts).column(0)

    def stream(
        self,
        name: str,
        batches: Iterable[pa.RecordBatch] | pa.Table,
        progress: bool = False,
        on_error: str | None = None,
        progress_handler: BundleProgressHandler | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Calls a function on batches, as many as there are, in constant memory.

        A scalar function gives one batch of results for each, in order. A table function gives batches of `row` (the
        row of the stream that a result belongs to, from 0) and its columns. An aggregate function gives its results
        when the batches have ended.

        :param batches: RecordBatches of one schema: an iterable, a RecordBatchReader or a Table.
        :param progress: shows a bar on stderr; where that is no terminal, a line every few seconds.
        :param on_error: as in `call`.
        :param progress_handler: hears how bundles of the stream go.
        """
        total = batches.num_rows if isinstance(batches, pa.Table) else None
        if isinstance(batches, (list, tuple)):
            total = sum(batch.num_rows for batch in batches if isinstance(batch, pa.RecordBatch))
        answers = self._stream(name, Batches.of(batches), on_error, progress_handler)
        return shown(name, answers, total) if progress else answers

    def _stream(
        self, name: str, batches: Batches, on_error: str | None, handler: BundleProgressHandler | None
    ) -> Iterator[pa.RecordBatch]:
        # A generator, so that nothing is asked for before the first result is.
        yield from self._runner.run_function(name, batches, on_error, handler)

    def exchange(self, name: str) -> Exchange:
        """Opens a stream to one executor, for many small calls of a scalar function at the least latency."""
        kind = self._directory.route(name).kind
        if kind != "SCALAR":
            raise InvalidInputError(
                f"exchange() is for scalar functions, this is a {kind.lower().replace('_', ' ')} function",
                function=name,
                hint="use stream()",
            )
        return Exchange(self._runner.pipeline(self._runner.function(name), max_links=1))

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
            self._functions.forget_inline()
            self._pool.forget(name)

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

    def row_errors(self, name: str = "") -> list[RowErrorsView]:
        """Rows of a function, or of all, that failed and became null or were left out, per executor.

        Only functions that are called with `on_error` `null` or `skip` have any.
        """
        return [row_errors_view(kept) for kept in self._rpc.row_errors(name)]

    def profile(self, name: str = "") -> list[ProfileView]:
        """Where a function, or all, spends its time, per executor.

        Only functions registered with the key `python.profile.enabled` are profiled.
        """
        return [profile_view(profile) for profile in self._rpc.profile(name)]

    def logs(self, name: str = "", tail: int = 0, follow: bool = False) -> Iterator[LogRecord]:
        """What a function, or all, wrote to stdout and stderr: the newest `tail` lines, or all that is kept."""
        return (log_record(line) for line in self._rpc.logs(name, tail, follow))
