"""Polars expressions that call functions of the fleet give what Polars' own expressions give."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from refusals import check_refusals
from type_values import EVERY_TYPE, column

import udfleet
from udfleet import udf
from udfleet.engines import polars as adapter
from udfleet.types.sql import parse


@pytest.fixture
def frame(flights):
    return pl.from_arrow(flights)


@pytest.fixture
def functions(fleet):
    return {name: adapter.function(fleet, name) for name in ("delay_class", "speed", "route", "picky")}


def expected(frame):
    delay = pl.col("dep_delay")
    short = pl.when(delay < 30).then(pl.lit("short")).otherwise(pl.lit("long"))
    return frame.select(
        delay_class=pl.when(delay.is_null())
        .then(pl.lit("cancelled"))
        .when(delay <= 0)
        .then(pl.lit("on time"))
        .otherwise(short),
        speed=pl.col("distance") / (pl.col("air_time") / 60),
        route=pl.col("origin") + "-" + pl.col("dest"),
    )


def equal(got, expected):
    # Polars multiplies by 1/60 where Python divides by 60.
    assert_frame_equal(got, expected, rel_tol=1e-12, abs_tol=0)


def called(frame, functions):
    return frame.select(
        delay_class=functions["delay_class"]("dep_delay"),
        speed=functions["speed"]("distance", pl.col("air_time")),
        route=functions["route"]("origin", "dest"),
    )


@pytest.mark.parametrize("engine", ["eager", "in-memory", "streaming"])
def test_all_flights_through_functions_of_every_func_type(frame, functions, engine):
    eager = engine == "eager"
    got = called(frame, functions) if eager else called(frame.lazy(), functions).collect(engine=engine)
    equal(got, expected(frame))
    assert got["delay_class"].value_counts().filter(pl.col("delay_class") == "cancelled")["count"].item() == 8255


def test_a_large_column_goes_in_batches_of_the_functions_size(fleet, frame):
    @udf(input_types="DOUBLE", result_type="BIGINT", func_type="arrow")
    def sizes(delays):
        import pyarrow

        return pyarrow.array([len(delays)] * len(delays))

    fleet.register_function("sizes", sizes, config={"python.fn-execution.arrow.batch.size": 7_000})
    try:
        got = frame.rechunk().select(adapter.function(fleet, "sizes")("dep_delay").alias("rows"))["rows"]
        assert got.value_counts().sort("rows").rows() == [(336_776 % 7_000, 336_776 % 7_000), (7_000, 336_000)]
    finally:
        fleet.drop_function("sizes")


def test_functions_in_every_place_of_a_query(frame, functions):
    route, speed, delay_class = functions["route"], functions["speed"], functions["delay_class"]
    by_carrier = frame.group_by("carrier").agg(speed("distance", "air_time").mean().alias("x")).sort("carrier")
    plain = frame.group_by("carrier").agg((pl.col("distance") / (pl.col("air_time") / 60)).mean().alias("x"))
    assert by_carrier["x"].to_list() == pytest.approx(plain.sort("carrier")["x"].to_list())
    assert frame.filter(delay_class("dep_delay") == "long").height == frame.filter(pl.col("dep_delay") >= 30).height
    assert frame.head(2).select(route("origin", pl.lit("x")))["origin"].to_list() == ["EWR-x", "LGA-x"]
    assert frame.head(2).select(x=route(route("origin", "dest"), "dest"))["x"].to_list() == [
        "EWR-IAH-IAH",
        "LGA-IAH-IAH",
    ]
    assert pl.select(route(pl.lit("a"), pl.lit("b"))).item() == "a-b"
    nothing = frame.clear().select(speed("distance", "air_time"), x=route("origin", pl.lit("x")))
    assert nothing.schema == {"distance": pl.Float64, "x": pl.String} and nothing.height == 0
    assert frame.lazy().select(speed("distance", "air_time")).collect_schema() == {"distance": pl.Float64}
    assert route.map_batches([frame["origin"], frame["dest"]]).head(1).to_list() == ["EWR-IAH"]
    expression = pl.col("dep_delay").map_batches(
        lambda delays: delay_class.map_batches([delays]), return_dtype=delay_class.return_dtype
    )
    assert frame.head(1).select(expression).item() == "short"


@pytest.mark.parametrize("name", [n for n in EVERY_TYPE if n != "INTERVAL YEAR TO MONTH"])
def test_values_of_every_type_come_back_as_they_were(fleet, name):
    data_type = parse(name)
    given = pl.Series("x", pl.from_arrow(column(data_type, Random(name), 3000, nulls=0.1)))
    fleet.register_function("same", udf(lambda a: a, data_type, data_type))
    try:
        got = given.to_frame().select(adapter.function(fleet, "same")("x"))["x"]
        assert got.dtype == given.dtype
        assert got.equals(given)
    finally:
        fleet.drop_function("same")


def test_categories_and_numbers_of_other_widths(functions):
    frame = pl.DataFrame({"a": ["x", None], "n": [1, 2]}, schema={"a": pl.Categorical, "n": pl.Int16})
    assert frame.select(functions["route"]("a", pl.lit("y")))["a"].to_list() == ["x-y", None]
    assert frame.select(functions["picky"]("n"))["n"].to_list() == [1, 2]


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_an_error_of_the_function_names_function_row_and_message(functions, engine):
    numbers = pl.LazyFrame({"i": range(10_000)})
    with pytest.raises(udfleet.UserCodeError) as caught:
        numbers.select(functions["picky"]("i")).collect(engine=engine)
    assert "picky@1: row " in str(caught.value) and "ValueError: 5000 is one too many" in str(caught.value)
    assert pl.select(functions["picky"](pl.lit(1))).item() == 1


def test_null_for_rows_that_fail(fleet):
    lenient = adapter.function(fleet, "picky", on_error="null")
    answers = pl.DataFrame({"i": range(10_000)}).with_columns(x=lenient("i"))
    assert answers.filter(pl.col("x").is_null())["i"].to_list() == [5_000]


def test_refused_when_it_is_made(fleet):
    check_refusals(lambda name, **options: adapter.function(fleet, name, **options))
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"at least one column.*\n.*argument that it ignores"):
        adapter.function(fleet, "greeting")
    fleet.register_function("months", udf(lambda a: a, "BIGINT", "ARRAY<INTERVAL YEAR TO MONTH>"))
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"the result has the type INTERVAL.*\n.*polars.md"):
        adapter.function(fleet, "months")
    fleet.drop_function("months")


def test_wrong_columns(functions, frame):
    with pytest.raises(udfleet.InvalidInputError, match=r"speed@1: takes 2 columns \(BIGINT, DOUBLE\), 1 given"):
        functions["speed"]("distance")
    with pytest.raises(udfleet.InvalidInputError, match=r"column 0 has the wrong type"):
        frame.select(functions["speed"]("origin", "air_time"))


def test_many_threads_share_a_function(functions, frame):
    part = frame.head(20_000)
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda _: called(part.lazy(), functions).collect(), range(12)))
    for each in got:
        equal(each, expected(part))
