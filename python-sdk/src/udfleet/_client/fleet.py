"""`Fleet`: everything that a client asks of a fleet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

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
from . import arguments
from .administration import Administration
from .columns import to_batch
from .connection_settings import ConnectionSettings
from .exchange import Exchange
from .inline import FleetFunctions
from .observation import Observation
from .pool import StreamPool
from .progress import RowCount, shown
from .registration import OnEvent, register
from .runner import Batches, Runner
from .streams import Streams
from .tables import Tables
from .views import FunctionView, function_view

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


class Fleet(Tables, Streams, Administration, Observation):
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
        partitions: int | None = None,
    ) -> FunctionView:
        """Registers what `udf`, `udtf`, `udaf`, `udtaf` or `keyed_process` declared; returns when it can be called.

        :param environment: its Python and packages; None: a bare Python of this client's version.
        :param config: configuration keys of this function.
        :param timeout: seconds until giving up; 600 by default.
        :param on_error: what becomes of rows that it raises for: `fail` (the default) fails the call, `null` gives
            null for the row, `skip` leaves the row out. What a call is given wins.
        :param on_event: gets each line about what is going on; without it, stderr does when it is a terminal.
        :param labels: only executors with these labels serve it: `{"zone": "a"}`.
        :param resources: devices that each interpreter that serves it has for itself: `{"gpu": 1}`.
        :param secrets: names of secrets that its interpreters see, beside those of its environment.
        :param partitions: of a function with keyed state: into how many its keys fall, 1 to 256; 16 by default. They
            can't be changed later.
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
                arguments.partitions(partitions),
            )
        finally:
            self._directory.forget(name)
            self._functions.forget()
        self._functions.remember(f, view.reference)
        return view

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


def _check_handler(handler: Any) -> None:
    hint = "subclass udfleet.BundleProgressHandler"
    arguments.has_methods(handler, ("on_progress", "on_completed"), "progress_handler", hint)
