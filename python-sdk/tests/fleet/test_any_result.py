"""Whatever a function returns: it becomes what docs/types.md says, or a typed error; no interpreter dies of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import odd_values
import pyarrow as pa
import pytest
from column_oracle import of_array, of_series
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from odd_columns import arrays, series
from odd_values import anything
from type_oracle import RefusedError, result, same

import udfleet
from udfleet import DataType, DataTypes, Environment, udf
from udfleet.types.sql import parse

RESULT_TYPES = [
    "NULL", "BOOLEAN", "TINYINT", "INT", "BIGINT", "BIGINT NOT NULL", "FLOAT", "DOUBLE", "DECIMAL(5, 2)",
    "DECIMAL(38, 18)", "DECIMAL(38, 0)", "CHAR(2)", "VARCHAR(3)", "STRING", "BINARY(2)", "VARBINARY(3)", "BYTES", "DATE",
    "TIME(0)", "TIME(2)", "TIME(9)", "TIMESTAMP(0)", "TIMESTAMP(3)", "TIMESTAMP(6)", "TIMESTAMP(9)",
    "TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(6)", "TIMESTAMP_LTZ(9)", "INTERVAL DAY TO SECOND", "INTERVAL YEAR TO MONTH",
    "ARRAY<INT>", "ARRAY<DOUBLE NOT NULL>", "ARRAY<ARRAY<STRING>>", "ARRAY<DECIMAL(5, 2)>", "MAP<STRING, INT>",
    "MAP<INT, STRING>", "MULTISET<STRING>", "ROW<a INT, b STRING>", "ROW<a INT NOT NULL>",
]  # fmt: skip
TYPES = [parse(name) for name in RESULT_TYPES]
BATCH = 50
ENVIRONMENT = Environment(requirements=["cloudpickle", "numpy", "pandas", "pyarrow", "tzdata"])
ONE_ROW = {"python.fn-execution.arrow.batch.size": 1}


def general(blob):
    import pickle

    return pickle.loads(blob)


def pandas(blobs):
    import pickle

    return pickle.loads(blobs[0])


def arrow(blobs):
    import pickle

    import pyarrow as pa

    array = pickle.loads(blobs[0].as_py())
    try:
        # What lies before and behind does not count.
        return pa.concat_arrays([array, array, array]).slice(1, 1)
    except pa.ArrowInvalid:
        return array


def interpreter(_):
    import os

    return os.getpid()


@pytest.fixture(scope="module")
def serving() -> Iterator[udfleet.LocalFleet]:
    """A fleet of one interpreter, which is the same one at the end."""
    with udfleet.local(executors=1, interpreters=1) as fleet:
        for function in (general, pandas, arrow):
            for number, kind in enumerate(TYPES):
                declared = udf(function, DataTypes.BYTES(), kind, func_type=function.__name__)
                name = f"{function.__name__}_{number}"
                fleet.register_function(name, declared, environment=ENVIRONMENT, config=ONE_ROW)
        fleet.register_function("interpreter", udf(interpreter, "INT", "BIGINT"), environment=ENVIRONMENT)
        first = fleet.call("interpreter", [0]).to_pylist()
        yield fleet
        assert fleet.call("interpreter", [0]).to_pylist() == first, "an interpreter ended"


def check(fleet: udfleet.Fleet, name: str, kind: DataType, sent: list[Any], oracle: Callable[..., Any]) -> None:
    """Calls with what should fit, and with what should not."""
    good, bad = [], []
    for blob, value in sent:
        try:
            good.append((blob, value, oracle(kind, value)))
        except RefusedError:
            bad.append((blob, value))
    if good:
        received = fleet.call(name, pa.array([blob for blob, *_ in good], pa.binary())).to_pylist()
        for (_, value, expected), got in zip(good, received, strict=True):
            assert same(got, expected), f"{value!r} for {kind} became {got!r}, not {expected!r}"
    if bad:
        blobs = pa.array([blob for blob, _ in bad], pa.binary())
        taken = fleet.call(name, blobs, on_error="skip").to_pylist()
        if taken:  # A value that has no repr must not hide what was taken.
            pytest.fail(f"{kind} took {taken}")
        with pytest.raises(udfleet.ResultTypeError) as caught:
            fleet.call(name, blobs)
        error = caught.value
        assert error.function == f"{name}@1" and (error.row is None or 0 <= error.row < len(bad)), str(error)
        # A column of another kind is refused as a whole.
        assert not name.startswith("general") or (error.value and error.row is not None), str(error)


def check_all(
    fleet: udfleet.Fleet, function: Callable[..., Any], values: list[Any], oracle: Callable[..., Any]
) -> None:
    cloudpickle.register_pickle_by_value(odd_values)
    try:
        blobs = [cloudpickle.dumps(value) for value in values]
    finally:
        cloudpickle.unregister_pickle_by_value(odd_values)
    sent = [(blob, pickle.loads(blob)) for blob in blobs]
    for number, kind in enumerate(TYPES):
        check(fleet, f"{function.__name__}_{number}", kind, sent, oracle)


# The same batches every time; made smaller, a batch would say no more than the value that the failure names.
reproducible = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def batches(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=BATCH, max_size=BATCH)


@reproducible
@given(batches(anything))
def test_whatever_a_general_function_returns(serving, values):
    check_all(serving, general, values, result)


@reproducible
@given(batches(series))
def test_whatever_a_pandas_function_returns(serving, values):
    check_all(serving, pandas, values, of_series)


@reproducible
@given(batches(arrays))
def test_whatever_an_arrow_function_returns(serving, values):
    check_all(serving, arrow, values, of_array)
