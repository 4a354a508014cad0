"""Addresses of coordinators, as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._convert.misfit import shown
from ._tls import SCHEMES
from .errors import InvalidInputError

PORT = 8815
_HINT = (
    f"an address is host:port, or grpcs://host:port with TLS; port {PORT} where none is given; commas between several"
)


def host_and_port(address: Any, function: str | None = None) -> tuple[str, int]:
    """The parts of `host`, `host:port` or a URL of these; an IPv6 address with a port stands in brackets.

    :raises InvalidInputError: it is no such address.
    """
    if not isinstance(address, str):
        raise _refused(address, function)
    scheme, _, rest = address.strip().rpartition("://")
    if scheme.lower() not in SCHEMES:
        raise InvalidInputError(
            f"{shown(address)}: a client connects by gRPC, not by {scheme!r}", function=function, hint=_HINT
        )
    rest = rest.rstrip("/")
    bracketed, _, after = rest.partition("]")
    if rest.startswith("["):
        host, port = bracketed[1:], after.removeprefix(":")
        if after and not after.startswith(":"):
            raise _refused(address, function)
    elif rest.count(":") > 1:
        host, port = rest, ""
    else:
        host, _, port = rest.partition(":")
        if rest.endswith(":"):
            raise _refused(address, function)
    if not host or any(c.isspace() or c in "/@?#,\0" for c in host) or not host.isascii():
        raise _refused(address, function)
    number = int(port) if port.isascii() and port.isdecimal() else PORT if not port else 0
    if not 0 < number < 1 << 16:
        raise _refused(address, function)
    return host, number


def normal(address: Any, function: str | None = None) -> str:
    """As gRPC takes it: `host:port`."""
    host, port = host_and_port(address, function)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def addresses(given: Any, function: str | None = None) -> tuple[str, ...]:
    """All that are named, as gRPC takes them, each once: a text with commas between them, or a list of texts.

    :raises InvalidInputError: one of them is no address, which is named, or there is none.
    """
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, (list, tuple)) or not parts:
        raise _refused(given, function)
    empty = [number for number, part in enumerate(parts, 1) if isinstance(part, str) and not part.strip()]
    if empty and len(parts) > 1:
        what = f"address {empty[0]} of {len(parts)} in {shown(given)} is empty"
        raise InvalidInputError(what, function=function, hint=_HINT)
    return tuple(dict.fromkeys(normal(part, function) for part in parts))


def joined(several: Iterable[str]) -> str:
    """As one text, which `addresses` reads."""
    return ",".join(several)


def is_local(address: str) -> bool:
    """Whether an address means the machine that uses it, whichever that is."""
    host, _ = host_and_port(address)
    return host in ("localhost", "::1", "::", "0.0.0.0") or host.startswith("127.")  # noqa: S104 - told, not bound


def _refused(address: Any, function: str | None) -> InvalidInputError:
    return InvalidInputError(f"{shown(address)} is not the address of a coordinator", function=function, hint=_HINT)
