"""Calls of one function over plain Arrow Flight: all that is needed where only pyarrow is installed.

Engines' workers have their own protobuf and gRPC, which udfleet's client must not meet.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import Any

import pyarrow as pa
from pyarrow import flight

from .. import _fork, _keepalive
from .._address import addresses, joined
from .._channels import flight_client, host_of
from .._coordinators import Coordinators
from .._credentials import VARIABLE, find_token
from .._failure_text import from_flight, is_unsent, refused_by_tls, told
from .._tls import TlsFiles, TlsSource, choose
from ..errors import ExecutorLostError, NoCapacityError, UdfleetError, UnauthenticatedError
from ._flight_stream import SilentPeerError, Stream, progress_header

_ATTEMPTS = 5
_FIRST_PAUSE = 0.1
_ASKING_SECONDS = 5.0
_AVOIDED_SECONDS = 60.0
"""How long an executor that hung is asked nothing."""
_AWAY = (flight.FlightUnavailableError, flight.FlightTimedOutError)
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    # How long a connection may take: 20 s by default.
    ("grpc.min_reconnect_backoff_ms", 2000),
    *_keepalive.OPTIONS,
]
_COORDINATORS = b"x-udfleet-coordinators"
"""Metadata of what a coordinator says of a function: where all coordinators are."""


class FlightFunction:
    """A registered function by its address. Pickles, with the coordinators that it has learned of; opens its streams
    where it is called.

    :param address: `host:port` of a coordinator, or of several with commas between them.
    :param name: `name`, or `name@version`.
    :param token: the fleet's token; None: the variable UDFLEET_TOKEN of the process that calls.
    :param direct: False sends all batches through the coordinator.
    :param tls: the fleet's CA, and the certificate to show; None: as the address and the variables UDFLEET_TLS_CA,
        UDFLEET_TLS_CERT and UDFLEET_TLS_KEY say.
    :param repeatable: False sends a batch again only where it can't have run before.
    """

    def __init__(
        self,
        address: str,
        name: str,
        token: str | None = None,
        direct: bool = True,
        repeatable: bool = True,
        tls: TlsFiles | None = None,
    ) -> None:
        given = addresses(address, name)
        self.tls = tls or choose(address)
        self._texts = TlsSource(self.tls) if self.tls else None
        self.address = joined(given)
        self._coordinators = Coordinators(given)
        self.name = name
        self.token = token
        self.direct = direct
        self.repeatable = repeatable
        self._lock = threading.Lock()
        self._idle: Stream | None = None
        self._executors: list[str] = []
        self._avoided: dict[str, float] = {}
        """Executors that hung, and until when they are asked nothing."""
        self._ticket: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        known = joined(self._coordinators.known)
        tls = self.tls.portable() if self.tls else None
        return FlightFunction, (known, self.name, self.token, self.direct, self.repeatable, tls)

    def resolve(self) -> flight.FlightInfo:
        """What the fleet says of it. A name without version is that of the newest one as of now, from now on.

        :raises UdfleetError: the address or the token is wrong, or there is no such function.
        """
        try:
            info = self._describe()
        except pa.ArrowException as error:
            raise self._typed(error) from None
        if "@" not in self.name:
            # Streams follow one another, and all of them have to call the same version.
            self.name = _version(self.name, info)
        return info

    def call(self, batch: pa.RecordBatch) -> pa.Array | pa.ChunkedArray:
        """One value per row. Answers of executors that are away or full are waited for, a few seconds at most."""
        try:
            for attempt in range(_ATTEMPTS - 1):
                try:
                    return self._call(batch, direct=self.direct and attempt == 0)
                except flight.FlightUnavailableError as error:
                    if refused_by_tls(str(error)) or not (self.repeatable or _has_not_run(str(error))):
                        raise
                time.sleep(_FIRST_PAUSE * 2**attempt)
            return self._call(batch, direct=False)
        except pa.ArrowException as error:
            raise self._typed(error) from None

    def close(self) -> None:
        """Ends the stream."""
        stream = self._take()
        if stream is not None:
            stream.close()

    def _call(self, batch: pa.RecordBatch, direct: bool) -> pa.Array | pa.ChunkedArray:
        stream = self._take() or self._open(batch.schema, direct)
        try:
            answer = stream.call(batch)
        except BaseException as error:
            stream.abandon()
            self._notice(stream.coordinator, error)
            if stream.coordinator is None and isinstance(error, SilentPeerError):
                self._avoided[stream.address] = time.monotonic() + _AVOIDED_SECONDS
            raise
        self._give_back(stream)
        return answer

    def _open(self, schema: pa.Schema, direct: bool) -> Stream:
        executor = self._executor() if direct else None
        # When an executor has just failed, a coordinator knows which others live.
        coordinator = None if executor else self._coordinators.preferred
        address = executor or self._coordinators.preferred
        client = self._connect(address)
        try:
            options = self._options(None, progress_header()) if coordinator else self._executor_options()
            stream = Stream(client, self._descriptor(), options, schema, address, coordinator)
        except BaseException as error:
            self._notice(coordinator, error)
            raise
        stream.begin_time(self._expire)
        return stream

    def _notice(self, coordinator: str | None, error: BaseException) -> None:
        """The next try goes to another coordinator where this one is away, rather than out of room."""
        if coordinator is not None and isinstance(error, _AWAY) and told(str(error)) is None:
            self._coordinators.failed(coordinator)

    def _take(self) -> Stream | None:
        _fork.check()
        with self._lock:
            stream, self._idle = self._idle, None
        return stream

    def _give_back(self, stream: Stream) -> None:
        with self._lock:
            keep = self._idle is None and not stream.over
            if keep:
                self._idle = stream
        if not keep:
            stream.close()

    def _expire(self, stream: Stream) -> None:
        """A stream that is in use ends once its call has."""
        with self._lock:
            stream.over = True
            idle = self._idle is stream
            if idle:
                self._idle = None
        if idle:
            stream.close()

    def _executor(self) -> str | None:
        # Executors serve without coordinators: while these are away, those known are asked.
        with contextlib.suppress(*_AWAY):
            self._executors = [
                host_of(place) for endpoint in self._describe().endpoints for place in endpoint.locations
            ]
        now = time.monotonic()
        usable = [executor for executor in self._executors if self._avoided.get(executor, now) <= now]
        return random.choice(usable) if usable else None  # noqa: S311 - spreads load

    def _describe(self) -> flight.FlightInfo:
        *others, last = self._coordinators.order()
        for address in others:
            try:
                return self._ask(address)
            except _AWAY as error:  # noqa: PERF203
                self._notice(address, error)
        return self._ask(last)

    def _ask(self, coordinator: str) -> flight.FlightInfo:
        with self._connect(coordinator) as client:
            info = client.get_flight_info(self._descriptor(), self._options(_ASKING_SECONDS))
        self._coordinators.answered(coordinator)
        metadata = info.schema.metadata or {}
        ticket = metadata.get(b"x-udfleet-ticket")
        self._ticket = ticket.decode() if ticket else None
        known = metadata.get(_COORDINATORS, b"").decode()
        self._coordinators.learn(coordinator, [address for address in known.split(",") if address])
        return info

    def _connect(self, address: str) -> flight.FlightClient:
        _fork.check()
        return flight_client(address, self._texts.current() if self._texts else None, _OPTIONS)

    def _descriptor(self) -> flight.FlightDescriptor:
        return flight.FlightDescriptor.for_path(self.name)

    def _options(self, seconds: float | None = None, *headers: tuple[bytes, bytes]) -> flight.FlightCallOptions:
        token = find_token(self.token or None, addresses(self.address))
        return _shown(token, seconds, *headers)

    def _executor_options(self) -> flight.FlightCallOptions:
        """Executors are shown what a coordinator has given for that, and no token."""
        if self._ticket is None:
            return self._options(None, progress_header())
        return _shown(self._ticket, None, progress_header())

    def _typed(self, error: pa.ArrowException) -> UdfleetError:
        if isinstance(error, SilentPeerError):
            return ExecutorLostError(str(error), function=self.name, hint="is it suspended, or its machine cut off?")
        typed = from_flight(error, self.address)
        if not typed.message.startswith(f"{self.name}: "):
            typed.function = typed.function or self.name
        if isinstance(typed, UnauthenticatedError) and "token" in (typed.hint or "token"):
            typed.hint = f"pass token=..., or set {VARIABLE} here and where the engine's workers run"
        return typed


def _shown(
    credential: str | None, seconds: float | None = None, *headers: tuple[bytes, bytes]
) -> flight.FlightCallOptions:
    shown = [(b"authorization", f"Bearer {credential}".encode())] if credential else []
    return flight.FlightCallOptions(timeout=seconds, headers=[*shown, *headers])


def _has_not_run(failure: str) -> bool:
    """Whether a batch that failed was refused before anything ran."""
    return is_unsent(failure) or isinstance(told(failure), NoCapacityError)


def _version(name: str, info: flight.FlightInfo) -> str:
    """`name@version`, which the tickets hold."""
    if not info.endpoints:
        raise NoCapacityError(
            "no executor serves it now, which leaves open what version to call",
            function=name,
            hint=f"`udfleet status` shows why; try again later, or name the version: {name}@1",
        )
    return str(info.endpoints[0].ticket.ticket.decode())
