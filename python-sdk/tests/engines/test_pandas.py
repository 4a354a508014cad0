"""Functions of the fleet on Series give what pandas' own expressions give."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from refusals import check_refusals
from type_values import EVERY_TYPE, column

import udfleet
from udfleet import udf
from udfleet.engines import pandas as adapter
from udfleet.types.sql import parse


@pytest.fixture(scope="module")
def frame(flights):
    # An index that is not 0, 1, 2, ...
    return flights.to_pandas().sort_values("distance", kind="stable")


@pytest.fixture
def functions(fleet):
    return {name: adapter.function(fleet, name) for name in ("delay_class", "speed", "route", "picky")}


def delay_classes(delays):
    return np.select([delays.isna(), delays <= 0, delays < 30], ["cancelled", "on time", "short"], "long")


def test_all_flights_through_functions_of_every_func_type(functions, frame):
    classes = functions["delay_class"](frame["dep_delay"])
    assert (classes == delay_classes(frame["dep_delay"])).all() and (classes == "cancelled").sum() == 8255
    assert classes.name == "dep_delay"
    pd.testing.assert_series_equal(
        functions["speed"](frame["distance"], frame["air_time"]),
        frame["distance"] / (frame["air_time"] / 60),
        check_names=False,
    )
    pd.testing.assert_series_equal(
        functions["route"](frame["origin"], frame["dest"]), frame["origin"] + "-" + frame["dest"], check_names=False
    )


def test_the_accessor(fleet, frame):
    head = frame.head(3)
    speeds = (head["distance"] / (head["air_time"] / 60)).tolist()
    assert head.udfleet(fleet, "speed", "distance", "air_time").tolist() == pytest.approx(speeds, nan_ok=True)
    assert head[["distance", "air_time"]].udfleet(fleet, "speed").tolist() == pytest.approx(speeds, nan_ok=True)
    routed = head["origin"].udfleet(fleet, "route", "x")
    assert routed.tolist() == (head["origin"] + "-x").tolist() and routed.index.equals(head.index)
    assert head["distance"].udfleet(fleet, "picky", on_error="null").tolist() == head["distance"].tolist()


def test_integers_with_nulls_keep_their_digits(functions):
    large = 2**62 + 1
    got = functions["picky"](pd.Series([large, None], dtype="Int64"))
    assert got.dtype == "Int64" and got[0] == large and got.isna().tolist() == [False, True]
    assert functions["picky"](pd.Series([1, 2])).dtype == "int64"
    assert functions["picky"](pd.Series([1.0, None])).tolist() == [1, pd.NA]


def test_what_is_given_beside_series(functions):
    assert functions["speed"](pd.Series([10, 20], index=["a", "b"]), 60.0).to_dict() == {"a": 10.0, "b": 20.0}
    assert functions["speed"]([10, 20], np.array([60.0, 60.0])).tolist() == [10.0, 20.0]
    assert functions["route"](pd.Series(["a", "a"], dtype="category"), "b").tolist() == ["a-b", "a-b"]
    assert functions["picky"](pd.Series([1, 2], dtype="int64[pyarrow]")).tolist() == [1, 2]
    empty = functions["delay_class"](pd.Series([], dtype="float64"))
    assert len(empty) == 0 and empty.dtype == functions["delay_class"](pd.Series([1.0])).dtype


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_values_of_every_type_come_back_as_they_were(fleet, name):
    data_type = parse(name)
    values = column(data_type, Random(name), 3000, nulls=0.1)
    fleet.register_function("same", udf(lambda a: a, data_type, data_type))
    try:
        given = adapter._to_series(pa.chunked_array([values]))
        got = adapter.function(fleet, "same")(given)
        assert got.dtype == given.dtype
        assert pa.array(got, values.type, from_pandas=True).equals(pa.array(given, values.type, from_pandas=True))
    finally:
        fleet.drop_function("same")


def test_an_error_of_the_function_is_typed_and_counts_rows_of_the_series(functions):
    with pytest.raises(udfleet.UserCodeError) as caught:
        functions["picky"](pd.Series(range(30_000, -1, -1)))
    error = caught.value
    assert (error.row, error.function, error.exception.message) == (25_000, "picky@1", "5000 is one too many")


def test_null_for_rows_that_fail(fleet):
    got = adapter.function(fleet, "picky", on_error="null")(pd.Series(range(10_000)))
    assert got[got.isna()].index.tolist() == [5_000]


def test_refused_when_it_is_made(fleet):
    check_refusals(lambda name, **options: adapter.function(fleet, name, **options))
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"no column to tell how many rows.*\n.*fleet.call"):
        adapter.function(fleet, "greeting")


def test_wrong_columns(functions):
    with pytest.raises(udfleet.InvalidInputError, match="takes 2 columns"):
        functions["speed"](pd.Series([1]))
    with pytest.raises(udfleet.InvalidInputError, match=r"speed@1: .*column 0 does not convert"):
        functions["speed"](pd.Series(["a"]), 1.0)
    with pytest.raises(udfleet.InvalidInputError, match="column 0 does not convert"):
        functions["picky"](pd.Series([1.5]))
    with pytest.raises(udfleet.InvalidInputError, match=r"different indexes\nhint: .*align"):
        functions["route"](pd.Series(["a", "b"]), pd.Series(["a", "b"], index=[1, 0]))


def test_many_threads_share_a_function(functions, frame):
    part = frame.head(20_000)
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda _: functions["delay_class"](part["dep_delay"]), range(20)))
    assert all((each == delay_classes(part["dep_delay"])).all() for each in got)
