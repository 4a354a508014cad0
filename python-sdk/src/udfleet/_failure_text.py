"""Typed errors out of texts: all that needs neither protobuf nor gRPC, which engines' workers have of their own."""

from __future__ import annotations

import re

from . import errors
from .errors import UdfleetError

_STATUS = {
    "NOT_FOUND": errors.FunctionNotFoundError,
    "INVALID_ARGUMENT": errors.InvalidInputError,
    "RESOURCE_EXHAUSTED": errors.LimitExceededError,
    "OUT_OF_RANGE": errors.LimitExceededError,
    "UNAUTHENTICATED": errors.UnauthenticatedError,
    "PERMISSION_DENIED": errors.PermissionDeniedError,
    "UNAVAILABLE": errors.UnreachableError,
    # A call that ran too long has its own code; this is a peer that hangs.
    "DEADLINE_EXCEEDED": errors.UnreachableError,
}

ABSENT = "is the fleet running? `udfleet up` starts one; check address and token (UDFLEET_ADDRESS, UDFLEET_TOKEN)"
"""What to do when there is no answer."""

UNRESOLVED = "check the name, and that this machine can look it up (DNS, /etc/hosts)"
"""What to do when the address's name is unknown."""

_UNRESOLVED = re.compile(r"DNS resolution failed|Domain name not found|errors? resolving|hostname lookup error", re.I)
"""How gRPC says so, as it comes with grpcio and with pyarrow."""

_GRPC_ADDRESS = "is that the gRPC address of a udfleet coordinator (port 8815 by default)?"

_HTTP_ONLY = re.compile(r"http1\.x server \(HTTP status 505\)")
"""How gRPC shows the answer of a port of pages and metrics."""

_NO_CONNECTION = "failed to connect to all addresses"
"""How gRPC says that it has sent nothing."""

_TOO_LARGE = re.compile(r"(Received|Sent) message larger than max|decoded message length too large", re.I)
"""How gRPC refuses a message: this side, and the fleet's."""

_TYPED_TEXT = re.compile(
    rf"((Flight|gRPC) returned .{{0,80}}, with message: )?(?P<code>{'|'.join(errors.BY_CODE)}): "
    r"((?P<function>[^\s:@]+@\d+): )?(row (?P<row>\d+): )?(?P<message>.*?)( \(hint: (?P<hint>.*)\))?$",
    re.DOTALL,
)
"""A typed error as the fleet writes it into the message of a status."""


_TLS = (
    (
        r"certificate[ _]verify[ _]failed.{0,20}certificate has expired",
        "its certificate has expired",
        "renew it there: its files are read again without a restart",
    ),
    (
        r"certificate[ _]verify[ _]failed",
        "its certificate is not signed by the CA that this client trusts",
        "use the CA file of this fleet: tls_ca=..., or the variable UDFLEET_TLS_CA",
    ),
    (
        r"is not in peer certificate|Hostname Verification Check failed",
        "its certificate is one for other names",
        "connect by a name that it has, or make one that has this: `udfleet certs create --hosts ...`",
    ),
    (
        r"wrong[ _]version[ _]number",
        "it does not speak TLS",
        "connect without TLS: host:port, and no tls_ca or UDFLEET_TLS_CA",
    ),
    (
        r"Trying to connect an http1\.x server",
        "it does not speak gRPC in plain text",
        "where it speaks TLS, name the fleet's CA: tls_ca=..., or the variable UDFLEET_TLS_CA",
    ),
    (
        r"SSL_ERROR_SSL|no protocols available|Cannot check peer: missing selected ALPN",
        "the TLS handshake failed",
        "compare tls_ca, tls_cert and tls_key with the fleet's: `udfleet certs show FILE`",
    ),
)
"""What gRPC says of handshakes that fail and will fail again, as it comes with grpcio and with pyarrow."""


def refused_by_tls(text: str) -> tuple[str, str] | None:
    """Why there is no connection, and what to do, where certificates are the reason or only one side speaks TLS."""
    found = (said[1:] for said in _TLS if re.search(said[0], text, re.IGNORECASE | re.DOTALL))
    return next(found, None)


def told(text: str) -> UdfleetError | None:
    """The typed error that the fleet wrote into the message of a status; None where the transport failed."""
    match = _TYPED_TEXT.match(_without_context(text))
    if match is None:
        return None
    row = None if match["row"] is None else int(match["row"])
    return errors.BY_CODE[match["code"]](match["message"], hint=match["hint"], function=match["function"], row=row)


def is_unsent(text: str) -> bool:
    """Whether a call failed before anything of it was sent."""
    return _NO_CONNECTION in text or _UNRESOLVED.search(text) is not None


def from_flight(error: BaseException, address: str) -> UdfleetError:
    """The exception for a failed Flight call, as far as its text says."""
    typed = told(str(error))
    return placed(typed, address) if typed else from_status(flight_status(error), str(error), address)


def flight_status(error: BaseException) -> str:
    """The gRPC status that pyarrow made this exception of."""
    names = {
        "FlightUnavailableError": "UNAVAILABLE",
        "FlightUnauthenticatedError": "UNAUTHENTICATED",
        "FlightUnauthorizedError": "PERMISSION_DENIED",
        "FlightTimedOutError": "DEADLINE_EXCEEDED",
        "FlightCancelledError": "CANCELLED",
        "FlightInternalError": "INTERNAL",
        "ArrowKeyError": "NOT_FOUND",
        "ArrowInvalid": "INVALID_ARGUMENT",
    }
    for kind in type(error).__mro__:
        if kind.__name__ in names:
            return names[kind.__name__]
    return "UNKNOWN"


def placed(error: UdfleetError, address: str) -> UdfleetError:
    """With the address, where the address or its token may be the mistake."""
    if isinstance(error, errors.UnauthenticatedError):
        error.message = f"{address} refuses the call: {error.message}"
    return error


def from_status(status: str, message: str, address: str) -> UdfleetError:
    """The exception for a status that says nothing of udfleet's."""
    message = re.sub(r"^(Flight|gRPC) returned [\w ]+ error, with message: ", "", _without_context(message))
    kind = _STATUS.get(status, errors.InternalError)
    if _HTTP_ONLY.search(message):
        return errors.InternalError(f"{address} answered that it speaks HTTP and no gRPC", hint=_GRPC_ADDRESS)
    if kind is errors.UnreachableError and (refusal := refused_by_tls(message)):
        reason, hint = refusal
        return errors.UnauthenticatedError(f"no connection to {address}: {reason}: {message}", hint=hint)
    if kind is errors.UnreachableError and _UNRESOLVED.search(message):
        return kind(f"no answer from {address}: its name does not resolve: {message}", hint=UNRESOLVED)
    if kind is errors.UnreachableError:
        return kind(f"no answer from {address}: {message}", hint=ABSENT)
    if _TOO_LARGE.search(message):
        return errors.LimitExceededError(
            f"a message of the call is too large: {message}", hint="make its texts, literals and descriptions smaller"
        )
    told = f"{address} answered with status {status}" + (f": {message}" if message else "")
    # udfleet's own processes send typed errors: another program may listen there.
    return kind(told, hint=_GRPC_ADDRESS)


def _without_context(text: str) -> str:
    return re.sub(r"\. (gRPC client debug context|Client context): .*", "", text, flags=re.DOTALL)
