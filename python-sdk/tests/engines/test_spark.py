"""DataFrames and SQL of Spark that call functions of the fleet give what Spark's own SQL gives."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from random import Random

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructField, StructType
from refusals import check_refusals
from type_values import EVERY_TYPE, column

import udfleet
from udfleet import udf
from udfleet.engines import spark as adapter
from udfleet.engines._spark_types import carrier, spark_type
from udfleet.types.sql import parse

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


@pytest.fixture(scope="module")
def session():
    previous = os.environ.get("PYSPARK_PYTHON")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.bindAddress", "127.0.0.1")
    made = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    made.sparkContext.setLogLevel("OFF")
    yield made
    made.stop()
    if previous is None:
        del os.environ["PYSPARK_PYTHON"]
    else:
        os.environ["PYSPARK_PYTHON"] = previous


@pytest.fixture(scope="module")
def flights(session, flights, tmp_path_factory):
    import pyarrow.parquet

    path = tmp_path_factory.mktemp("flights") / "flights.parquet"
    pyarrow.parquet.write_table(flights, path)
    frame = session.read.parquet(str(path)).repartition(2).cache()
    frame.createOrReplaceTempView("flights")
    return frame


@pytest.fixture(scope="module", autouse=True)
def functions(fleet, session):
    return {name: adapter.register(session, fleet, name) for name in ("delay_class", "speed", "route", "picky")}


def rows(session, sql):
    return [tuple(row) for row in session.sql(sql).collect()]


EXPECTED = {
    "delay_class": """case when dep_delay is null then 'cancelled' when dep_delay <= 0 then 'on time'
        when dep_delay < 30 then 'short' else 'long' end""",
    "speed": "distance / (air_time / 60)",
    "route": "origin || '-' || dest",
}
CALLED = {"delay_class": ["dep_delay"], "speed": ["distance", "air_time"], "route": ["origin", "dest"]}


def test_all_flights_through_functions_of_every_func_type_in_sql(session, flights):
    differing = " or ".join(
        f"not ({name}({', '.join(columns)}) <=> ({EXPECTED[name]}))" for name, columns in CALLED.items()
    )
    assert rows(session, f"select count(*) from flights where {differing}") == [(0,)]
    classes = dict(rows(session, "select delay_class(dep_delay), count(*) from flights group by 1"))
    assert classes["cancelled"] == 8255 and sum(classes.values()) == 336_776


def test_all_flights_through_map_in_arrow(session, fleet, flights):
    frame = flights
    for name, columns in CALLED.items():
        frame = adapter.map_in_arrow(frame, fleet, name, columns, f"{name}_of_it")
    assert frame.columns == [*flights.columns, "delay_class_of_it", "speed_of_it", "route_of_it"]
    wrong = " or ".join(f"not ({name}_of_it <=> ({expected}))" for name, expected in EXPECTED.items())
    assert frame.filter(wrong).count() == 0
    assert frame.count() == 336_776


def test_functions_in_expressions_and_on_nothing(session, functions, fleet, flights):
    fast = flights.filter(functions["speed"]("distance", "air_time") > 400)
    assert fast.count() == flights.filter("distance / (air_time / 60) > 400").count()
    nothing = flights.filter("false")
    assert nothing.select(functions["speed"]("distance", "air_time").alias("x")).collect() == []
    assert adapter.map_in_arrow(nothing, fleet, "speed", ["distance", "air_time"], "x").collect() == []
    nested = "select max(route(route(origin, 'x'), dest)) from flights where delay_class(dep_delay) = 'long'"
    assert rows(session, nested) == rows(
        session, "select max(origin || '-x-' || dest) from flights where dep_delay >= 30"
    )
    assert rows(session, "select picky(cast(3 as tinyint)), delay_class(null)") == [(3, "cancelled")]


TYPES = [name for name in EVERY_TYPE if "(9)" not in name and "YEAR" not in name]


def test_values_of_every_type_come_back_as_they_were(session, fleet):
    """One DataFrame of all types: each job of Spark takes its time."""
    given, fields, names = {}, [], [f"c{index}" for index in range(len(TYPES))]
    for name, title in zip(TYPES, names, strict=True):
        data_type = parse(name)
        given[title] = column(data_type, Random(name), 500, nulls=0.1)
        fields.append(StructField(title, spark_type(data_type)))
        fleet.register_function(f"same_{title}", udf(lambda a: a, data_type, data_type))
    table = pa.table(given).cast(pa.schema([(field.name, carrier(field.dataType)) for field in fields]))
    frame = session.createDataFrame(table, StructType(fields))
    try:
        called = frame.select(
            [adapter.function(fleet, f"same_{title}")(title).alias(title) for title in names]
        ).toArrow()
        for name, title in zip(TYPES, names, strict=True):
            assert called.column(title).to_pylist() == table.column(title).to_pylist(), name
        # One Python worker for each partition and call.
        for title in names[-3:]:
            mapped = adapter.map_in_arrow(frame.select(title), fleet, f"same_{title}", [title], "again")
            assert mapped.toArrow().column("again").to_pylist() == table.column(title).to_pylist()
    finally:
        for title in names:
            fleet.drop_function(f"same_{title}")


@pytest.mark.parametrize("way", ["function", "map_in_arrow"])
def test_an_error_of_the_function_is_sparks_exception_and_names_function_row_and_message(
    session, fleet, functions, way
):
    numbers = session.range(0, 10_000, 1, 1)
    if way == "function":
        called = numbers.select(functions["picky"]("id"))
    else:
        called = adapter.map_in_arrow(numbers, fleet, "picky", ["id"], "x")
    with pytest.raises(Exception, match=r"UserCodeError: picky@1: row 5000: ValueError: 5000 is one too many"):
        called.collect()


def test_null_for_rows_that_fail(session, fleet):
    lenient = adapter.function(fleet, "picky", on_error="null")
    numbers = session.range(10_000)
    assert [row.id for row in numbers.filter(lenient("id").isNull()).collect()] == [5_000]


def test_refused_when_it_is_made(session, fleet, flights):
    check_refusals(lambda name, **options: adapter.register(session, fleet, name, **options))
    check_refusals(lambda name, **options: adapter.map_in_arrow(flights, fleet, name, ["distance"], "x", **options))
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"at least one column.*\n.*argument that it ignores"):
        adapter.function(fleet, "greeting")
    for name, why in [
        ("ARRAY<TIMESTAMP(9)>", "it keeps microseconds"),
        ("TIME(9)", "it keeps microseconds"),
        ("INTERVAL YEAR TO MONTH", "the result has the type INTERVAL"),
    ]:
        fleet.register_function("odd", udf(lambda a: None, "BIGINT", parse(name)))
        with pytest.raises(udfleet.InvalidDefinitionError, match=rf"{why}.*\n.*spark.md"):
            adapter.function(fleet, "odd")
    fleet.drop_function("odd")


def test_wrong_columns_are_refused_before_anything_runs(fleet, flights):
    with pytest.raises(udfleet.InvalidDefinitionError, match="column 0 has the wrong type"):
        adapter.map_in_arrow(flights, fleet, "speed", ["origin", "air_time"], "x")
    with pytest.raises(udfleet.InvalidDefinitionError, match="wrong number of columns, 1 in place of 2"):
        adapter.map_in_arrow(flights, fleet, "speed", ["distance"], "x")
    with pytest.raises(udfleet.InvalidInputError, match="no column 'nowhere', only year, "):
        adapter.map_in_arrow(flights, fleet, "speed", ["nowhere", "air_time"], "x")
    with pytest.raises(udfleet.InvalidInputError, match=r"a column 'dest' already\nhint: choose another name"):
        adapter.map_in_arrow(flights, fleet, "speed", ["distance", "air_time"], "dest")


def test_each_worker_opens_one_connection(session, fleet, functions, flights):
    from pyspark.sql.functions import arrow_udf

    remote = adapter._Remote(fleet, adapter._checked(fleet, "picky", None))

    def connections(column):
        from udfleet._client import connection_settings

        remote(column)
        remote.settings.fleet()
        answer = f"{os.getpid()} {connection_settings._connected.cache_info().currsize}"
        return pa.array([answer] * len(column))

    counting = arrow_udf(connections, "string")
    told = {row[0] for row in session.range(50_001, 90_000, 1, 8).select(counting("id")).collect()}
    assert told and all(answer.split()[1] == "1" for answer in told)
    assert str(os.getpid()) not in {answer.split()[0] for answer in told}


def test_what_travels_is_small_and_does_not_show_the_token(fleet):
    remote = adapter._Remote(fleet, adapter._checked(fleet, "speed", None))
    travelled = pickle.dumps(remote)
    assert len(travelled) < 1_000
    assert fleet.token and fleet.token not in repr(remote.settings)
    script = "import pickle, sys, pyarrow as pa; remote = pickle.load(sys.stdin.buffer)\n"
    script += "print(remote(pa.array([10, 20]), pa.array([60.0, None])).to_pylist())"
    done = subprocess.run([sys.executable, "-c", script], input=travelled, capture_output=True, check=True)
    assert done.stdout.decode() == "[10.0, None]\n"
