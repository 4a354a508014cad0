"""Who serves a function, as the coordinator says, and the Flight clients to reach them."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import pyarrow as pa
import pyarrow.flight as flight

from .._rpc import Rpc

ROUTE_SECONDS = 2.0
"""How long a route is used before it is asked for again: what a fleet gains or drops is noticed within this."""

_KIND = b"x-udfleet-kind"

_OPTIONS = [
    # A peer that hangs without closing its connection is given up after this.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
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


class Directory:
    """Routes and clients of one fleet. Thread-safe."""

    def __init__(self, rpc: Rpc, token: str | None) -> None:
        self.coordinator = rpc.address
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self.call_options = flight.FlightCallOptions(headers=headers)
        self._rpc = rpc
        self._lock = threading.Lock()
        self._clients: dict[str, flight.FlightClient] = {}
        self._routes: dict[str, tuple[float, Route]] = {}

    def client(self, address: str) -> flight.FlightClient:
        """The client of an address, made on first use."""
        with self._lock:
            found = self._clients.get(address)
            if found is None:
                found = flight.FlightClient(f"grpc+tcp://{address}", generic_options=_OPTIONS)
                self._clients[address] = found
            return found

    def route(self, function: str) -> Route:
        """The route of a function; fails when no such function is registered."""
        now = time.monotonic()
        with self._lock:
            known = self._routes.get(function)
        if known is not None and now < known[0]:
            return known[1]
        route = self._ask(function)
        with self._lock:
            self._routes[function] = (now + ROUTE_SECONDS, route)
        return route

    def forget(self, function: str | None = None) -> None:
        """Routes asked for anew: of one function and its versions, or all."""
        with self._lock:
            if function is None:
                self._routes.clear()
                return
            name = function.partition("@")[0]
            for known in [key for key in self._routes if key.partition("@")[0] == name]:
                del self._routes[known]

    def _ask(self, function: str) -> Route:
        info = self._rpc.flight_info(flight.FlightDescriptor.for_path(function))
        fields = list(info.schema)
        executors = [_address(location) for endpoint in info.endpoints for location in endpoint.locations[:1]]
        count = max(0, info.total_records)
        kind = (info.schema.metadata or {}).get(_KIND, b"SCALAR").decode()
        return Route(None if info.total_records < 0 else fields[:count], kind, fields[count:], executors)

    def plan_info(self, descriptor: flight.FlightDescriptor) -> list[tuple[str, bytes]]:
        """Addresses that serve a plan, each with the ticket for it."""
        info = self._rpc.flight_info(descriptor)
        return [
            (_address(location), endpoint.ticket.ticket)
            for endpoint in info.endpoints
            for location in endpoint.locations[:1]
        ]

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


def _address(location: flight.Location) -> str:
    uri: str = location.uri.decode()
    return uri.partition("://")[2]
