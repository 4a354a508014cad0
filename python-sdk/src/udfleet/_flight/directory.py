"""Routes: which executors serve a function, as a coordinator says; and one Flight client per address."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.flight as flight

from .. import _fork, _keepalive
from .._channels import flight_client, host_of
from .._grpc import grpc
from .._proto.udfleet.v1 import exchange_pb2
from .._rpc import Rpc

ROUTE_SECONDS = 2.0
"""How long a route is used before it is asked for again: what a fleet gains or drops is noticed within this."""

HANGING_SECONDS = 60.0
"""How long executors are not asked of which a stream was found to hang."""

_KIND = b"x-udfleet-kind"
_TICKET = b"x-udfleet-ticket"

_OPTIONS = [
    *_keepalive.OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Also how long a connection may take; 20 s by default.
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # One connection per client object, not one for all clients of the process.
    ("grpc.use_local_subchannel_pool", 1),
]


class Route(NamedTuple):
    """How to call a function."""

    inputs: list[pa.Field] | None
    """None: the function takes any columns."""
    kind: str
    """`SCALAR`, `TABLE`, `AGGREGATE` or `TABLE_AGGREGATE`."""
    results: list[pa.Field]
    executors: list[str]
    reference: str
    """`name@version`; empty where no executor serves it."""


class Directory:
    """Routes and clients of one fleet. Thread-safe."""

    def __init__(self, rpc: Rpc) -> None:
        self.coordinators = rpc.coordinators
        self._rpc = rpc
        self._token = rpc.token
        self._token_options = _bearer(self._token)
        self._ticket_options = self._token_options
        """With what coordinators last gave this client for executors, which are shown no token."""
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[Any, flight.FlightClient]] = {}
        self.connected: set[str] = set()
        """Addresses to which a stream was opened, and which were not lost since."""
        self._routes: dict[str, tuple[float, Route]] = {}
        self._lookups: dict[str, Lookup] = {}
        self._reporting: set[str] = set()
        """Addresses of executors that say how streams stand, as coordinators do: those of older versions don't."""
        self._hanging: dict[str, float] = {}
        """Addresses of which a stream was found to hang, and when they may be asked again."""
        _fork.holds_connection(self)

    def client(self, address: str) -> flight.FlightClient:
        """The client of an address, made on first use."""
        _fork.check()
        texts = self._rpc.tls_texts()
        with self._lock:
            found = self._clients.get(address)
            if found is None or found[0] is not texts:
                # Streams keep the client that they were opened with.
                found = self._clients[address] = texts, flight_client(address, texts, _OPTIONS)
            return found[1]

    def call_options(self, address: str) -> flight.FlightCallOptions:
        """Options of calls to this address: coordinators are shown the token, executors the ticket."""
        if address not in self.coordinators.known:
            return self._ticket_options
        token = self._rpc.token
        if token != self._token:
            self._token_options, self._token = _bearer(token), token
        return self._token_options

    def control_options(self, seconds: float) -> flight.FlightCallOptions:
        """Options of a question to a coordinator, which has to be answered in time."""
        return _bearer(self._rpc.token, seconds)

    def take_ticket(self, info: flight.FlightInfo) -> flight.FlightInfo:
        """Keeps what a coordinator's response says beside routes: the ticket, which is a new one each time so that it
        never ends, and what executors can do.
        """
        for endpoint in info.endpoints:
            capabilities = exchange_pb2.EndpointCapabilities.FromString(endpoint.app_metadata or b"")
            if capabilities.reports_progress:
                self._reporting.update(host_of(location) for location in endpoint.locations)
        ticket = (info.schema.metadata or {}).get(_TICKET)
        if ticket:
            self._ticket_options = _bearer(ticket.decode())
        return info

    def route(self, function: str) -> Route:
        """The route of a function; fails when no such function is registered."""
        _fork.check()
        now = time.monotonic()
        with self._lock:
            known = self._routes.get(function)
        if known is not None and now < known[0]:
            return known[1]
        route = _route(self.take_ticket(self._rpc.flight_info(flight.FlightDescriptor.for_path(function))))
        with self._lock:
            self._routes[function] = (now + ROUTE_SECONDS, route)
        return route

    def latest_route(self, function: str) -> Route | None:
        """The newest known route. Never blocks: an old one is refreshed in the background."""
        now = time.monotonic()
        with self._lock:
            known = self._routes.get(function)
            if known is None or now >= known[0]:
                lookup = self._lookups.setdefault(function, self.lookup(flight.FlightDescriptor.for_path(function)))
                info = lookup.poll()
                if info is not None:
                    known = self._routes[function] = (now + ROUTE_SECONDS, _route(self.take_ticket(info)))
                    del self._lookups[function]
        return known[1] if known else None

    def lookup(self, descriptor: flight.FlightDescriptor) -> Lookup:
        """Asks who serves a function or plan, once `poll` is called."""
        return Lookup(functools.partial(self._rpc.begin_flight_info, descriptor))

    def reports_progress(self, address: str) -> bool:
        """Whether a peer says how streams stand, so that its silence means that one hangs."""
        return address in self._reporting or address in self.coordinators.known

    def note_hanging(self, address: str) -> None:
        """A stream of it has said nothing for long: for a while, others are asked."""
        with self._lock:
            self._hanging[address] = time.monotonic() + HANGING_SECONDS

    def answering(self, addresses: list[str]) -> list[str]:
        """Without those that hang."""
        if not self._hanging:
            return addresses
        now = time.monotonic()
        with self._lock:
            self._hanging = {address: until for address, until in self._hanging.items() if now < until}
            return [address for address in addresses if address not in self._hanging]

    def forget(self, function: str | None = None) -> None:
        """Invalidates routes: of one function and its versions, or all."""
        with self._lock:
            if function is None:
                self._routes.clear()
                return
            name = function.partition("@")[0]
            for known in [key for key in self._routes if key.partition("@")[0] == name]:
                del self._routes[known]

    def plan_info(self, descriptor: flight.FlightDescriptor) -> list[tuple[str, bytes]]:
        """Addresses that serve a plan, each with the ticket for it."""
        return places(self.take_ticket(self._rpc.flight_info(descriptor)))

    def plan_schema(self, descriptor: flight.FlightDescriptor) -> pa.Schema:
        """The columns of a plan's results."""
        return self.take_ticket(self._rpc.flight_info(descriptor)).schema.remove_metadata()

    def close(self) -> None:
        """Closes all connections."""
        if _fork.inherited():
            return
        with self._lock:
            clients, self._clients = self._clients, {}
        for _, client in clients.values():
            client.close()


class Lookup:
    """A request to the coordinator that runs in the background."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._call: Any = None
        self._ask_again = 0.0

    def poll(self) -> flight.FlightInfo | None:
        """The response once it is there, else None; after a failure it is requested again later."""
        if self._call is None:
            if time.monotonic() >= self._ask_again:
                self._call = self._ask()
            return None
        if not self._call.done():
            return None
        call, self._call = self._call, None
        self._ask_again = time.monotonic() + ROUTE_SECONDS
        return call.result() if call.code() is grpc.StatusCode.OK else None


def places(info: flight.FlightInfo) -> list[tuple[str, bytes]]:
    """Addresses that serve what was asked for, each with the ticket for it."""
    return [
        (host_of(location), endpoint.ticket.ticket)
        for endpoint in info.endpoints
        for location in endpoint.locations[:1]
    ]


def _route(info: flight.FlightInfo) -> Route:
    fields = list(info.schema)
    count = max(0, info.total_records)
    kind = (info.schema.metadata or {}).get(_KIND, b"SCALAR").decode()
    served = places(info)
    reference = served[0][1].decode(errors="replace") if served else ""
    inputs = None if info.total_records < 0 else fields[:count]
    return Route(inputs, kind, fields[count:], [address for address, _ in served], reference)


def _bearer(credential: str | None, seconds: float | None = None) -> flight.FlightCallOptions:
    headers = [(b"authorization", f"Bearer {credential}".encode())] if credential else []
    return flight.FlightCallOptions(timeout=seconds, headers=headers)
