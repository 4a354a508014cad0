"""Flight clients: the one place where the SDK and the engines' adapters open connections with pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyarrow import flight

from ._tls import TlsTexts


def flight_client(address: str, tls: TlsTexts | None, options: Sequence[tuple[str, int | str]]) -> flight.FlightClient:
    """A client of the peer at `host:port`."""
    if tls is None:
        return flight.FlightClient(f"grpc+tcp://{address}", generic_options=list(options))
    ca, cert, key = tls
    given: dict[str, Any] = {"tls_root_certs": ca, "cert_chain": cert, "private_key": key}
    # pyarrow takes no None.
    given = {name: value for name, value in given.items() if value is not None}
    return flight.FlightClient(f"grpc+tls://{address}", generic_options=list(options), **given)


def host_of(location: flight.Location) -> str:
    """`host:port` of a location."""
    uri: str = location.uri.decode()
    return uri.partition("://")[2]
