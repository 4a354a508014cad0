"""Typed errors out of what arrives: ErrorInfo messages, gRPC statuses, pyarrow Flight exceptions."""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from . import errors
from ._proto.udfleet.v1 import error_pb2
from .errors import ProcessExit, RemoteException, RemoteFrame, UdfleetError

_STATUS = {
    "NOT_FOUND": errors.FunctionNotFoundError,
    "INVALID_ARGUMENT": errors.InvalidInputError,
    "RESOURCE_EXHAUSTED": errors.LimitExceededError,
    "OUT_OF_RANGE": errors.LimitExceededError,
    "UNAUTHENTICATED": errors.UnauthenticatedError,
    "PERMISSION_DENIED": errors.UnauthenticatedError,
    "UNAVAILABLE": errors.UnreachableError,
    # A call that ran too long is told with its code; this is a peer that hangs.
    "DEADLINE_EXCEEDED": errors.UnreachableError,
}

ABSENT = "is the fleet running? `udfleet up` starts one; check address and token (UDFLEET_ADDRESS, UDFLEET_TOKEN)"
"""What to do when nobody answers."""

_TYPED_TEXT = re.compile(
    rf"(Flight returned .{{0,80}}, with message: )?(?P<code>{'|'.join(errors.BY_CODE)}): "
    r"((?P<function>[^\s:@]+@\d+): )?(row (?P<row>\d+): )?(?P<message>.*?)( \(hint: (?P<hint>.*)\))?$",
    re.DOTALL,
)
"""A typed error as the fleet writes it into the message of a status."""


def _exception(message: error_pb2.PythonException) -> RemoteException:
    return RemoteException(
        message.type,
        message.message,
        [RemoteFrame(frame.file, frame.line, frame.function, frame.source) for frame in message.frames],
        _exception(message.cause) if message.HasField("cause") else None,
        message.explicit_cause,
        [_exception(member) for member in message.group],
        list(message.notes),
        message.text,
    )


def from_info(info: error_pb2.ErrorInfo) -> UdfleetError:
    """The exception for an ErrorInfo. A code that this SDK does not know yet is an InternalError."""
    known = info.code in error_pb2.ErrorCode.values()
    kind = errors.BY_CODE.get(error_pb2.ErrorCode.Name(info.code) if known else "", errors.InternalError)
    ended = None
    if info.HasField("exit"):
        end = info.exit
        ended = ProcessExit(end.signal, end.status, end.peak_rss_bytes, end.memory_limit_bytes, end.last_stderr)
    return kind(
        info.message,
        hint=info.hint or None,
        function=info.function or None,
        row=info.row if info.HasField("row") else None,
        value=info.value or None,
        executor=info.executor or None,
        attempt=info.attempt or None,
        exception=_exception(info.exception) if info.HasField("exception") else None,
        exit=ended,
        expression=info.expression or None,
    )


def _from_details(details: bytes | None) -> UdfleetError | None:
    if not details:
        return None
    try:
        info = error_pb2.ErrorInfo.FromString(bytes(details))
    except DecodeError:
        return None
    return from_info(info) if info.code else None


def from_grpc(error: grpc.RpcError, address: str) -> UdfleetError:
    """The exception for a failed call on a gRPC channel."""
    call: Any = error
    for key, value in call.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and (typed := _from_details(value)):
            return _placed(typed, address)
    return _from_status(call.code().name, call.details() or "", address)


def told(error: BaseException) -> UdfleetError | None:
    """The typed error that the fleet ended a Flight call with; None where the transport failed."""
    if typed := _from_details(getattr(error, "extra_info", None)):
        return typed
    # pyarrow keeps no details of most errors: the text has what matters.
    match = _TYPED_TEXT.match(_without_context(str(error)))
    if match is None:
        return None
    row = None if match["row"] is None else int(match["row"])
    return errors.BY_CODE[match["code"]](match["message"], hint=match["hint"], function=match["function"], row=row)


def from_flight(error: BaseException, address: str) -> UdfleetError:
    """The exception for a failed Flight call; `error` is a pyarrow error of any kind."""
    typed = told(error)
    return _placed(typed, address) if typed else _from_status(flight_status(error), str(error), address)


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


def _placed(error: UdfleetError, address: str) -> UdfleetError:
    """With the address, where the address or its token may be the mistake."""
    if isinstance(error, errors.UnauthenticatedError):
        error.message = f"{address} refuses the call: {error.message}"
    return error


def _without_context(text: str) -> str:
    return re.sub(r"\. (gRPC client debug context|Client context): .*", "", text, flags=re.DOTALL)


def _from_status(status: str, message: str, address: str) -> UdfleetError:
    message = re.sub(r"^Flight returned [\w ]+ error, with message: ", "", _without_context(message))
    kind = _STATUS.get(status, errors.InternalError)
    if kind is errors.UnreachableError:
        return kind(f"no answer from {address}: {message}", hint=ABSENT)
    told = f"{address} answered with status {status}" + (f": {message}" if message else "")
    # udfleet's own processes say more: somebody else may listen there.
    return kind(told, hint="is that the gRPC address of a udfleet coordinator (port 8815 by default)?")


def lost(message: str, retry_hint: str | None = None) -> UdfleetError:
    """A peer went away under a call."""
    return errors.ExecutorLostError(message, hint=retry_hint)
