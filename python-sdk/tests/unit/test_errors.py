"""Typed errors: every code has a class, and what arrives keeps its parts."""

from __future__ import annotations

import pytest
from pyarrow import ArrowInvalid, ArrowKeyError
from pyarrow.flight import FlightClient, FlightTimedOutError, FlightUnavailableError

import udfleet
from udfleet import FunctionNotFoundError, InternalError, UnreachableError, UserCodeError, errors
from udfleet._failures import from_flight, from_info, told
from udfleet._proto.udfleet.v1 import error_pb2


def test_every_code_has_its_class():
    names = {name for name in list(error_pb2.ErrorCode.keys()) if name != "ERROR_CODE_UNSPECIFIED"}
    assert set(errors.BY_CODE) == names
    for name, kind in errors.BY_CODE.items():
        made = from_info(error_pb2.ErrorInfo(code=error_pb2.ErrorCode.Value(name), message="m"))
        assert type(made) is kind and made.code == name
    assert {name for name, kind in errors.BY_CODE.items() if kind.retryable} == {
        "NO_CAPACITY",
        "INTERPRETER_CRASHED",
        "EXECUTOR_LOST",
    }


def test_codes_of_newer_fleets_are_internal_errors():
    assert type(from_info(error_pb2.ErrorInfo(code=99, message="m"))) is InternalError


def test_a_peer_that_hangs_is_no_function_that_takes_too_long():
    error = from_flight(FlightTimedOutError("Deadline Exceeded"), "host:8815")
    assert type(error) is UnreachableError and error.retryable
    assert error.message == "no answer from host:8815: Deadline Exceeded" and "is the fleet running?" in error.hint


def test_a_name_that_does_not_resolve_is_said_to_be_that():
    # The top-level domain is reserved: no server knows names in it.
    address = "nobody.invalid:8815"
    with udfleet.Fleet(address) as fleet, pytest.raises(UnreachableError) as caught:
        fleet.check()
    with FlightClient(f"grpc://{address}") as client, pytest.raises(FlightUnavailableError) as refused:
        list(client.list_flights())
    for error in (caught.value, from_flight(refused.value, address)):
        assert error.message.startswith(f"no answer from {address}: its name does not resolve: ")
        assert error.retryable and "look it up" in error.hint


def test_a_chain_reads_like_a_traceback():
    info = error_pb2.ErrorInfo(code=error_pb2.USER_CODE, message="Oops", function="f@2", row=0, executor="e", attempt=2)
    info.exception.type, info.exception.message = "mod.Oops", "outer"
    info.exception.frames.add(file="a.py", line=2, function="f", source="  raise Oops")
    info.exception.cause.type, info.exception.cause.message = "KeyError", "'k'"
    info.exception.explicit_cause = True
    info.exception.notes.append("a note")
    info.exception.group.add(type="ValueError", message="one")
    error = from_info(info)
    assert isinstance(error, UserCodeError) and error.row == 0
    assert str(error).splitlines() == [
        "f@2: row 0: Oops (executor e, attempt 2)",
        "",
        "KeyError: 'k'",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        '  File "a.py", line 2, in f',
        "    raise Oops",
        "mod.Oops: outer",
        "a note",
        "  +---------------- 1 ----------------",
        "  | ValueError: one",
    ]


def test_how_an_interpreter_ended():
    info = error_pb2.ErrorInfo(code=error_pb2.INTERPRETER_CRASHED, message="died")
    info.exit.signal, info.exit.peak_rss_bytes, info.exit.last_stderr = 11, 5 << 20, "boom\n"
    error = from_info(info)
    assert error.exit.signal == 11 and error.retryable
    assert "ended with signal 11, peak memory 5 MiB; last stderr:\nboom" in str(error)


@pytest.mark.parametrize(
    ("text", "kind", "function", "row", "message", "hint"),
    [
        (
            "Flight returned not found error, with message: FUNCTION_NOT_FOUND: f@2: no function (hint: see f@1). "
            "gRPC client debug context: x. Client context: OK",
            FunctionNotFoundError,
            "f@2",
            None,
            "no function",
            "see f@1",
        ),
        (
            "Flight returned invalid argument error, with message: USER_CODE: f@1: row 3: ValueError: a: b",
            UserCodeError,
            "f@1",
            3,
            "ValueError: a: b",
            None,
        ),
    ],
)
def test_typed_errors_are_read_from_the_text_of_a_status(text, kind, function, row, message, hint):
    """For most statuses pyarrow keeps nothing else."""
    error = told((ArrowKeyError if kind is FunctionNotFoundError else ArrowInvalid)(text))
    assert type(error) is kind
    assert (error.function, error.row, error.message, error.hint) == (function, row, message, hint)
    assert told(ConnectionError("Flight returned unavailable error, with message: connect failed")) is None
