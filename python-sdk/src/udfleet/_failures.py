"""Typed errors out of what arrives: ErrorInfo messages, gRPC statuses, pyarrow Flight exceptions."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from . import _failure_text, errors
from ._failure_text import from_status, placed
from ._grpc import grpc
from ._proto.udfleet.v1 import error_pb2
from .errors import ProcessExit, RemoteException, RemoteFrame, UdfleetError


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
        has_no_side_effects=info.has_no_side_effects,
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
            return placed(typed, address)
    failure = from_status(call.code().name, call.details() or "", address)
    if isinstance(failure, errors.UnreachableError) and _failure_text.is_unsent(failure.message):
        failure.has_no_side_effects = True
    return failure


def told(error: BaseException) -> UdfleetError | None:
    """The typed error that the fleet ended a Flight call with; None where the transport failed."""
    # pyarrow keeps no details of most errors: the text has what matters.
    return _from_details(getattr(error, "extra_info", None)) or _failure_text.told(str(error))


def from_flight(error: BaseException, address: str) -> UdfleetError:
    """The exception for a failed Flight call; `error` is a pyarrow error of any kind."""
    typed = _from_details(getattr(error, "extra_info", None))
    return placed(typed, address) if typed else _failure_text.from_flight(error, address)


def lost(message: str, retry_hint: str | None = None) -> UdfleetError:
    """A peer went away under a call, or was never there: then nothing has run."""
    unsent = _failure_text.is_unsent(message)
    return errors.ExecutorLostError(message, hint=retry_hint, has_no_side_effects=unsent)
