"""What functions raise, as each engine takes it: a column of errors, or a status that is not tried again for ever."""

from __future__ import annotations

import subprocess
import sys

import flight_wire
import grpc
import pyarrow as pa
import pytest
from remote_functions import picky
from remote_servers import batch

import udfleet
from udfleet import udf, udtf

INVALID = grpc.StatusCode.INVALID_ARGUMENT
OTHERS = [flight_wire.databend, flight_wire.plain]


def raising(column):
    raise ValueError("the whole batch")


def wrong_result(a):
    return "text" if a == 2 else a


def dying(a):
    import os

    os._exit(3)


def endless(a):
    while True:
        pass


def several(a):
    if a < 0:
        raise ValueError(f"{a} is negative")
    yield from range(a)


@pytest.fixture(scope="module")
def fleet(endpoints):
    register = endpoints.fleet.register_function
    register("raising_arrow", udf(raising, "BIGINT", "BIGINT", func_type="arrow"))
    register("raising_pandas", udf(raising, "BIGINT", "BIGINT", func_type="pandas"))
    register("wrong_result", udf(wrong_result, "BIGINT", "BIGINT"))
    register("dying", udf(dying, "BIGINT", "BIGINT"))
    register("endless", udf(endless, "BIGINT", "BIGINT"), config={"udfleet.call.timeout": 1000})
    register("strict", udf(lambda a: 1 // a, "BIGINT", udfleet.DataTypes.BIGINT().not_null()))
    register("lenient", udf(lambda a: 1 // a, "BIGINT", "BIGINT"), on_error="null")
    register("several", udtf(several, "BIGINT", "BIGINT"))
    return endpoints


def numbers(*values):
    return batch(a=pa.array(values, pa.int64()))


def error_column(answer):
    """The messages per row; the column has to be there, nullable text."""
    assert answer.schema.types[1:] == [pa.string()] and all(field.nullable for field in answer.schema)
    return answer.column(1)


def test_rows_that_fail_are_null_and_have_a_message(fleet):
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            answer = client.call("picky", numbers(1, -7, None, -8, 5))
            assert answer.column() == [1, None, None, None, 5]
            errors = error_column(answer)
            assert [error is not None for error in errors] == [False, True, False, True, False]
            assert "-7 is negative" in errors[1] and "-8 is negative" in errors[3] and "ValueError" in errors[1]


def test_the_command_line_shows_such_rows_with_tracebacks(fleet):
    fleet.fleet.register_function("told", udf(picky, "BIGINT", "BIGINT"))
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            client.call("told", numbers(-77))
    command = [sys.executable, "-m", "udfleet", "--address", fleet.addresses["coordinator"], "errors", "told"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "-77 is negative" in shown.stdout and "Traceback" in shown.stdout, shown.stderr


def test_the_column_is_there_only_where_a_row_failed(fleet):
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            assert client.call("picky", numbers(1, None)).schema.types == [pa.int64()]
            assert len(client.call("picky", numbers(1, -1)).schema) == 2
            assert client.call("picky", numbers(2)).schema.types == [pa.int64()]


def test_one_batch_of_many_fails(fleet):
    sent = [numbers(*range(start, start + 500)) for start in range(0, 3000, 500)]
    sent[3] = numbers(*range(1500, 1999), -5)
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            answer = client.call("picky", *sent)
            assert answer.column() == [*range(1999), None, *range(2000, 3000)]
            errors = error_column(answer)
            assert [row for row, error in enumerate(errors) if error is not None] == [1999]
            assert "-5 is negative" in errors[1999]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("raising_arrow", "the whole batch"),
        ("raising_pandas", "the whole batch"),
        ("dying", "dying"),
        ("endless", "ran longer"),
    ],
)
def test_what_fails_as_a_whole_fails_every_row(fleet, function, says):
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            answer = client.call(function, numbers(1, 2, 3))
            assert answer.column() == [None] * 3
            errors = error_column(answer)
            assert all(error and says in error.lower() for error in errors)
            # The function before and after it is not harmed.
            assert client.call("picky", numbers(1)).column() == [1]


def test_a_result_of_another_type_fails(fleet):
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            answer = client.call("wrong_result", numbers(1, 2, 3))
            assert answer.column()[1] is None and "text" in error_column(answer)[1]


def test_results_declared_not_null_can_fail(fleet):
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            answer = client.call("strict", numbers(1, 0))
            assert answer.column() == [1, None] and "ZeroDivisionError" in error_column(answer)[1]
            assert client.call("strict", numbers(1)).column() == [1]


def test_a_function_that_gives_null_for_failures_has_none(fleet):
    """Registered with on_error="null"."""
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            answer = client.call("lenient", numbers(1, 0))
            assert answer.column() == [1, None] and len(answer.schema) == 1


def test_errors_of_many_rows_are_all_told(fleet):
    """More than what a status could carry."""
    sent = numbers(*(-n for n in range(1, 5001)))
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            errors = error_column(client.call("picky", sent))
            assert all(f"-{n} is negative" in error for n, error in enumerate(errors, 1))


@pytest.mark.parametrize("bad", ["1.234", "123456789.00", "NaN", "Infinity", "1e2x"])
def test_decimals_that_do_not_fit_fail_rows_not_the_call(fleet, bad):
    """RisingWave's numeric knows no precision: what comes is a matter of data, not of signatures."""
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            argument, _ = client.info("cents").schema
            sent = pa.record_batch([pa.array(["1.10", bad, None])], schema=pa.schema([argument]))
            answer = client.call("cents", sent)
            assert answer.column()[1:] == [None, None] and bad in error_column(answer)[1]


def test_more_than_is_held_back_goes_out(fleet):
    """Whether a row fails is not waited for without bound."""
    texts = [f"{row:09}" + "x" * 1000 for row in range(20_000)]
    for endpoint in fleet:
        with flight_wire.arrow_udf(endpoint) as client:
            answer = client.call("same_varchar", *([batch(a=texts)] * 5))
            assert answer.column() == texts * 5
            assert all(error is None for index in range(1, len(answer.schema)) for error in answer.column(index))


@pytest.mark.parametrize("client_of", OTHERS)
@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("picky", "row 1: ValueError: -7 is negative"),
        ("several", "-7 is negative"),
        ("raising_arrow", "the whole batch"),
        ("raising_pandas", "the whole batch"),
        ("dying", "dying@"),
        ("endless", "endless@"),
        ("strict", "ZeroDivisionError"),
    ],
)
def test_a_status_for_others_that_is_never_unavailable(fleet, client_of, function, says):
    sent = numbers(1, 0) if function == "strict" else numbers(1, -7)
    for endpoint in fleet:
        with client_of(endpoint) as client:
            answer = client.call(function, sent)
            assert answer.code is not grpc.StatusCode.OK and says in answer.details
            if client_of is flight_wire.databend or function not in ("dying", "endless"):
                assert answer.code is INVALID
            assert client.call("picky", numbers(3)).column() == [3]


def test_the_same_failures_as_the_servers_from_pypi(references, fleet):
    for name, address in references.items():
        with flight_wire.plain(address) as client:
            theirs = client.call("picky", numbers(1, -7))
        for endpoint in fleet:
            with flight_wire.databend(endpoint) as client:
                ours = client.call("picky", numbers(1, -7))
            assert ours.code is theirs.code is INVALID, name
            assert "-7 is negative" in ours.details and "-7 is negative" in theirs.details
