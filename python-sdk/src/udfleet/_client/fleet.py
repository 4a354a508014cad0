"""`Fleet`: everything that a client asks of a fleet."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import pyarrow as pa

from .. import __version__
from .._address import addresses, joined
from .._credentials import find_token, followed_file, read_token
from .._flight.directory import Directory
from .._rpc import Rpc
from .._tls import choose
from ..declaration import UserDefinedFunctionWrapper
from ..environment import Environment
from ..errors import InvalidInputError
from ..progress import BundleProgressHandler
from . import arguments, backup, system_tables
from . import tenants as tenant_calls
from . import tokens as token_calls
from .backup import BackupSummary
from .columns import to_batch
from .connection_settings import ConnectionSettings
from .exchange import Exchange
from .inline import FleetFunctions
from .pool import StreamPool
from .progress import RowCount, shown
from .registration import OnEvent, register
from .runner import Batches, Runner
from .tables import Tables
from .tenants import TenantView
from .tokens import NewToken, TokenView
from .views import (
    ExecutorView,
    FunctionView,
    LogRecord,
    ProfileView,
    ProgressView,
    RestartView,
    RowErrorsView,
    certificate_end,
    executor_view,
    function_view,
    log_record,
    profile_view,
    progress_view,
    restart_view,
    row_errors_view,
)

__all__ = ["Exchange", "Fleet", "connect"]

DEFAULT_ADDRESS = "127.0.0.1:8815"


def connect(
    address: str | Sequence[str] = DEFAULT_ADDRESS,
    token: str | None = None,
    job: str = "default",
    job_parameters: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    direct: bool = True,
    token_file: str | os.PathLike[str] | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
) -> Fleet:
    """Connects to a fleet and checks that one of its coordinators answers.

    :param address: `host:port` of a coordinator, or of several with commas between them, or a list; port 8815 where
        none is given. The others are learned. One that is away is left alone as long as another answers.
    :param token: the fleet's token, or one with roles; None: what `token_file` holds, else what UDFLEET_TOKEN holds,
        else what the file holds that UDFLEET_TOKEN_FILE names, also once it changes, else that of the fleet that
        `udfleet up` runs there on this machine.
    :param token_file: a file that holds the token, and is read again when it changes. With `token` too, that is shown
        as long as the file can't be read.
    :param job: the name of this session.
    :param job_parameters: what `FunctionContext.get_job_parameter` answers in functions registered here. Everybody
        sees them: no place for secrets.
    :param config: configuration of functions registered here; what `register_function` is given wins.
    :param direct: False sends all batches through the coordinator.
    :param tls_ca: file with the fleet's CA; with it, or with an address like `grpcs://host:8815`, connections are
        encrypted. None: the variable UDFLEET_TLS_CA, else what the machine trusts.
    :param tls_cert: file with a certificate to show; None: the variable UDFLEET_TLS_CERT.
    :param tls_key: file with its key; None: the variable UDFLEET_TLS_KEY.
    """
    file = arguments.path(token_file, "token_file") or followed_file(token)
    if file is not None and token is None:
        token = read_token(file)
    token = find_token(token, addresses(address))
    fleet = Fleet(
        address,
        token,
        job,
        job_parameters,
        config,
        direct=direct,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    if file is not None:
        fleet._rpc.follow_token(file)
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
        address: str | Sequence[str],
        token: str | None = None,
        job: str = "default",
        job_parameters: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        direct: bool = True,
        tls_ca: str | os.PathLike[str] | None = None,
        tls_cert: str | os.PathLike[str] | None = None,
        tls_key: str | os.PathLike[str] | None = None,
    ) -> None:
        given = addresses(address)
        self.address = joined(given)
        self.job = arguments.text(job, "job")
        token = arguments.token(token)
        self._direct = direct
        self._job_parameters = arguments.mapping(job_parameters, "job_parameters")
        self._config = arguments.mapping(config, "config")
        self._rpc = Rpc(given, token, choose(address, tls_ca, tls_cert, tls_key))
        self._directory = Directory(self._rpc)
        self._functions = FleetFunctions(self.function, self._register_inline, self._plan_schema)
        self._runner = Runner(self._directory, self._functions.describe, job, direct)
        self._pool = StreamPool(self._runner)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<udfleet.Fleet {self.address}>"

    @property
    def coordinators(self) -> tuple[str, ...]:
        """Addresses of the coordinators that are known: those that this was connected with, then those learned."""
        return self._rpc.coordinators.known

    @property
    def _settings(self) -> ConnectionSettings:
        """What another process connects with."""
        tls = self._rpc.tls
        portable = tls.portable() if tls else None
        rpc = self._rpc
        return ConnectionSettings(
            joined(self.coordinators), rpc.token, portable, self.job, self._direct, rpc.token_file
        )

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

    @property
    def meta_store_outage(self) -> str:
        """Why the coordinator's metadata store does not answer, so that registrations and drains fail; else empty."""
        return self._rpc.server_info(__version__).meta_store_outage

    @property
    def certificate_ends(self) -> datetime.datetime | None:
        """When the TLS certificate of the coordinator that answers does; None: it has none."""
        return certificate_end(self._rpc.server_info(__version__).certificate_ends_unix)

    def register_function(
        self,
        name: str,
        f: Any,
        environment: Environment | None = None,
        config: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        on_event: OnEvent | None = None,
        on_error: str | None = None,
        labels: Mapping[str, str] | None = None,
        resources: Mapping[str, int] | None = None,
        secrets: Sequence[str] = (),
    ) -> FunctionView:
        """Registers what `udf`, `udtf`, `udaf` or `udtaf` declared; returns when it can be called.

        :param environment: its Python and packages; None: a bare Python of this client's version.
        :param config: configuration keys of this function.
        :param timeout: seconds until giving up; 600 by default.
        :param on_error: what becomes of rows that it raises for: `fail` (the default) fails the call, `null` gives
            null for the row, `skip` leaves the row out. What a call is given wins.
        :param on_event: gets each line about what is going on; without it, stderr does when it is a terminal.
        :param labels: only executors with these labels serve it: `{"zone": "a"}`.
        :param resources: devices that each interpreter that serves it has for itself: `{"gpu": 1}`.
        :param secrets: names of secrets that its interpreters see, beside those of its environment.
        :raises UdfleetError: why the function can't be called; nothing is registered then.
        """
        arguments.new_name(name)
        environment = arguments.environment(environment, name)
        timeout = arguments.seconds(timeout, name)
        arguments.has_methods(on_event, (), "on_event", "give a function of one text, such as print")
        merged = {**self._config, **arguments.mapping(config, "config")}
        try:
            view = register(
                self._rpc,
                name,
                f,
                environment,
                merged,
                self._job_parameters,
                self.job,
                timeout,
                on_event,
                on_error,
                arguments.mapping(labels, "labels"),
                arguments.mapping(resources, "resources"),
                arguments.names(secrets, "secrets"),
            )
        finally:
            self._directory.forget(name)
            self._functions.forget()
        self._functions.remember(f, view.reference)
        return view

    def create_token(
        self,
        name: str,
        roles: Sequence[str] = (),
        *,
        functions: Sequence[str] = (),
        tenant: str = "",
        expires: datetime.timedelta | None = None,
        join: bool = False,
    ) -> NewToken:
        """Makes a token. Its text is in what this returns, and nowhere else: the fleet keeps a hash.

        :param roles: of `admin`, `register`, `call`, `observe`.
        :param functions: patterns of the functions that it may register, drop and call; none: all.
        :param tenant: whose use it counts as; empty: its name.
        :param expires: how long it lasts; None: for ever, or a day for a join token.
        :param join: lets the executor `name` join the fleet, once.
        """
        name = arguments.text(name, "the name of a token")
        return token_calls.create(self._rpc, name, roles, functions, tenant, expires, join)

    def tokens(self) -> list[TokenView]:
        """All tokens and credentials of executors, without their secrets."""
        return list(token_calls.listed(self._rpc))

    def revoke_token(self, name: str, kind: str = "roles") -> TokenView:
        """Lets the holder of a token in no longer. Streams that are open go on; an executor is detached.

        :param kind: `roles`, or `join` or `executor` for those of an executor.
        """
        return token_calls.revoke(self._rpc, arguments.text(name, "the name of a token"), kind)

    def tenants(self) -> list[TenantView]:
        """What tenants have registered, what they do at this coordinator, and what they may."""
        return list(tenant_calls.listed(self._rpc))

    def backup(self, folder: str, report: Callable[[str], None] | None = None) -> BackupSummary:
        """Writes all registered functions and their files into a new folder. The fleet goes on meanwhile.

        :param report: gets lines about what is going on.
        :raises InvalidInputError: the folder exists or can't be written; nothing is left of it then.
        """
        return backup.backup(self._rpc, arguments.text(folder, "folder"), report or _silent)

    def restore(self, folder: str, report: Callable[[str], None] | None = None) -> BackupSummary:
        """Registers what a backup holds, under the same versions. Nothing is overwritten.

        All is checked before anything is changed. A restore that was interrupted can be run again.

        :raises InvalidInputError: the backup is damaged, or a function is there with another definition.
        """
        try:
            return backup.restore(self._rpc, arguments.text(folder, "folder"), report or _silent)
        finally:
            self._functions.forget()

    def _register_inline(self, f: UserDefinedFunctionWrapper) -> FunctionView:
        """Registers what a plan uses, under a name of its content."""
        return register(self._rpc, None, f, None, self._config, self._job_parameters, self.job)

    def call(
        self,
        function: str | UserDefinedFunctionWrapper[..., Any],
        *columns: Any,
        rows: int | None = None,
        on_error: str | None = None,
        progress_handler: BundleProgressHandler | None = None,
    ) -> Any:
        """Calls a function on columns; returns the results.

        A declared function itself is called as this connection has registered it last, with its environment. One that
        it has not registered is registered now, in a bare environment and under a name of its content.

        Lists and other iterables, numpy arrays, pandas Series and pyarrow arrays are columns; any other value is taken
        for all rows. With values only, one row is sent, or `rows` rows.

        :param on_error: what becomes of rows that it raises for: `fail`, `null` or `skip`; None: as it was registered.
        :return: a pyarrow.Array of the results: one per row, fewer where rows are skipped, a single one of an
            aggregate function. Of a table function a pyarrow.Table: `row`, the row that each result belongs to, then
            the result's columns; of a table aggregate function these alone.
        """
        name = self._functions.callable_name(function)
        _check_handler(progress_handler)
        route = self._directory.route(name)
        batches = [to_batch(name, columns, route.inputs, rows)]
        if route.kind == "SCALAR" and progress_handler is None:
            # Over a stream that is kept: opening one costs several times what a small call does.
            parts = self._pool.call(name, batches[0].schema, batches, on_error)
        else:
            parts = list(self._runner.run_function(name, Batches.of(batches), on_error, progress_handler))
        if route.kind in ("TABLE", "TABLE_AGGREGATE"):
            return pa.Table.from_batches(parts)
        return parts[0].column(0) if len(parts) == 1 else pa.concat_batches(parts).column(0)

    def stream(
        self,
        function: str | UserDefinedFunctionWrapper[..., Any],
        batches: Iterable[pa.RecordBatch] | pa.Table,
        progress: bool = False,
        on_error: str | None = None,
        progress_handler: BundleProgressHandler | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Calls a function on batches, as many as there are, in constant memory.

        A scalar function gives one batch of results for each, in order. A table function gives batches of `row` (the
        row of the stream that a result belongs to, from 0) and its columns. An aggregate function gives its results
        when the batches have ended.

        :param function: as in `call`.
        :param batches: RecordBatches of one schema: an iterable, a RecordBatchReader or a Table; or one batch.
        :param progress: shows a bar on stderr; where that is no terminal, a line every few seconds.
        :param on_error: as in `call`.
        :param progress_handler: hears how bundles of the stream go.
        """
        _check_handler(progress_handler)
        given = Batches.of(batches)
        if not progress:
            return self._stream(function, given, on_error, progress_handler)
        taken = RowCount()
        answers = self._stream(function, given.counted(taken), on_error, progress_handler)
        name = function if isinstance(function, str) else getattr(function, "name", "")
        return shown(name, answers, given.rows, taken, lambda: self._is_scalar(function))

    def _is_scalar(self, function: Any) -> bool:
        return self._directory.route(self._functions.callable_name(function)).kind == "SCALAR"

    def _stream(
        self, function: Any, batches: Batches, on_error: str | None, handler: BundleProgressHandler | None
    ) -> Iterator[pa.RecordBatch]:
        # A generator, so that nothing is asked for before the first result is.
        yield from self._runner.run_function(self._functions.callable_name(function), batches, on_error, handler)

    def exchange(self, function: str | UserDefinedFunctionWrapper[..., Any]) -> Exchange:
        """Opens a stream to one executor, for many small calls of a scalar function at the least latency."""
        name = self._functions.callable_name(function)
        kind = self._directory.route(name).kind
        if kind != "SCALAR":
            raise InvalidInputError(
                f"exchange() is for scalar functions, this is a {kind.lower().replace('_', ' ')} function",
                function=name,
                hint="use stream()",
            )
        return Exchange(self._runner.pipeline(self._runner.function(name), max_streams=1))

    def functions(self, all_versions: bool = False) -> list[FunctionView]:
        """The registered functions, in their newest or in all versions."""
        return [function_view(info) for info in self._rpc.functions(all_versions)]

    def function(self, name: str) -> FunctionView:
        """One function: `name`, or `name@version`."""
        return function_view(self._rpc.describe(arguments.text(name, "the name of a function")))

    def drop_function(self, name: str) -> list[str]:
        """Drops a function with all its versions, or the one version `name@3`; returns what was dropped."""
        arguments.text(name, "the name of a function")
        try:
            dropped = self._rpc.drop(name)
            self._functions.forget_dropped(dropped)
            return dropped
        finally:
            self._directory.forget(name)
            self._functions.forget_inline()
            self._pool.forget(name)

    def executors(self) -> list[ExecutorView]:
        """The executors of the fleet."""
        return [executor_view(info) for info in self._rpc.executors()]

    def drain(self, executor: str, undo: bool = False) -> ExecutorView:
        """Takes an executor out of service once what runs has finished; `undo` takes it back."""
        return executor_view(self._rpc.drain(arguments.text(executor, "the id of an executor"), bool(undo)))

    @overload
    def progress(self) -> list[ProgressView]: ...

    @overload
    def progress(self, name: str) -> ProgressView: ...

    def progress(self, name: str = "") -> ProgressView | list[ProgressView]:
        """Numbers of one function (`name` sums its versions, `name@3` is one), or of all functions as a list."""
        arguments.text(name, "the name of a function")
        views = [progress_view(message) for message in self._rpc.progress(name)]
        return views[0] if name and views else views

    def system_table(self, name: str) -> pa.Table:
        """What the fleet is and does now, as a table: `functions`, `calls`, `executors`, `environments`, `errors`,
        `events` or `waiting`. `events?after=12` gives those that came after number 12.
        """
        return system_tables.read(self._directory, f"system.{arguments.text(name, 'the name of a table')}")

    def row_errors(self, name: str = "") -> list[RowErrorsView]:
        """Rows of a function, or of all, that failed and became null or were left out, per executor.

        Only functions that are called with `on_error` `null` or `skip` have any.
        """
        arguments.text(name, "the name of a function")
        return [row_errors_view(kept) for kept in self._rpc.row_errors(name)]

    def profile(self, name: str = "") -> list[ProfileView]:
        """Where a function, or all, spends its time, per executor.

        Only functions registered with the key `python.profile.enabled` are profiled.
        """
        arguments.text(name, "the name of a function")
        return [profile_view(profile) for profile in self._rpc.profile(name)]

    def restart(self, name: str = "") -> list[RestartView]:
        """Replaces the interpreters that serve a function, or all, one after the other; running calls end first.

        New interpreters see secrets as they are now. Functions that share interpreters with it get new ones too.
        """
        arguments.text(name, "the name of a function")
        return [restart_view(done) for done in self._rpc.restart(name)]

    def logs(self, name: str = "", tail: int = 0, follow: bool = False) -> Iterator[LogRecord]:
        """What a function, or all, wrote to stdout and stderr: the newest `tail` lines, or all that is kept."""
        arguments.text(name, "the name of a function")
        lines = self._rpc.logs(name, arguments.tail(tail), bool(follow))
        return (log_record(line) for line in lines)


def _check_handler(handler: Any) -> None:
    hint = "subclass udfleet.BundleProgressHandler"
    arguments.has_methods(handler, ("on_progress", "on_completed"), "progress_handler", hint)


def _silent(_: str) -> None:
    pass
