"""What callers get wrong: the name, the version, the columns. Each is told what was expected and what was given."""

from __future__ import annotations

import pyarrow as pa
import pytest
from fleet_support import BIGINT, failure_of

import udfleet
from udfleet import udf
from udfleet.table.expressions import lit


@pytest.fixture(scope="module")
def add(fleet) -> str:
    return fleet.register_function("summed", udf(lambda a, b: a + b, [BIGINT, BIGINT], BIGINT)).reference


def test_an_unknown_name_gets_the_nearest(fleet, add):
    error = failure_of(udfleet.FunctionNotFoundError, fleet.call, "sumed", 1, 2)
    assert (error.function, error.hint) == ("sumed", 'did you mean "summed"?')
    assert "no function sumed is registered" in str(error) and not error.retryable


def test_an_unknown_name_on_a_stream(fleet, add):
    error = failure_of(udfleet.FunctionNotFoundError, lambda: list(fleet.stream("sumed", [])))
    assert error.hint == 'did you mean "summed"?'


@pytest.mark.parametrize("ask", ["call", "function", "drop_function"])
def test_an_unknown_version_names_those_there_are(fleet, add, ask):
    arguments = (1, 2) if ask == "call" else ()
    error = failure_of(udfleet.FunctionNotFoundError, getattr(fleet, ask), "summed@99", *arguments)
    assert "summed@99" in str(error) and add in error.hint


def test_what_is_no_name(fleet):
    error = failure_of(udfleet.InvalidInputError, fleet.call, "summed@newest", 1, 2)
    assert '"newest" is no function version: write `name@3`' in str(error)
    assert error.hint == "functions are named `name` or `name@version`; `udfleet functions` lists them"


def test_the_wrong_number_of_columns(fleet, add):
    error = failure_of(udfleet.InvalidInputError, fleet.call, "summed", [1])
    assert "takes 2 columns" in str(error) and "int64" in str(error) and "1 were given" in str(error)
    assert error.function == "summed"


def test_values_that_do_not_convert(fleet, add):
    error = failure_of(udfleet.InvalidInputError, fleet.call, "summed", ["one"], [2])
    assert (error.function, error.row, error.value) == ("summed", 0, "'one'") and "column 0 " in error.message


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": [1]}, "wrong number of columns, 1 in place of 2"),
        ({"a": [1], "b": [2], "c": [3]}, "wrong number of columns, 3 in place of 2"),
        ({"a": [1], "b": ["two"]}, "column 1 has the wrong type"),
        ({"a": [1.5], "b": [2]}, "column 0 has the wrong type"),
    ],
)
def test_batches_of_other_columns_are_refused_by_the_fleet(fleet, add, columns, said, direct):
    with udfleet.connect(fleet.address, fleet.token, direct=direct) as client:
        error = failure_of(udfleet.InvalidInputError, lambda: list(client.stream("summed", [pa.record_batch(columns)])))
    assert error.function == add and said in str(error)
    assert f"{add} takes (BIGINT, BIGINT), given (" in str(error)


def test_no_values_where_null_is_not_allowed(fleet):
    fleet.register_function("strict", udf(lambda a: a, "BIGINT NOT NULL", BIGINT))
    error = failure_of(udfleet.InvalidInputError, fleet.call, "strict", [1, None])
    assert error.row == 1 and "None for BIGINT NOT NULL" in error.message


@pytest.mark.parametrize("mebibytes", [2, 8, 20])
def test_a_plan_with_a_text_that_is_too_long(fleet, mebibytes):
    table = fleet.from_elements([1], "a").select(lit("x" * (mebibytes << 20)).alias("t"))
    error = failure_of(udfleet.LimitExceededError, table.to_arrow)
    assert error.hint and "address" not in error.hint
