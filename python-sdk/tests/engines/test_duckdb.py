"""SQL in DuckDB that calls functions of the fleet gives what DuckDB's own SQL gives."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from random import Random

import duckdb
import pyarrow as pa
import pytest
from fleet_support import count_streams
from refusals import check_refusals
from type_values import EVERY_TYPE, column

import udfleet
from udfleet import udf
from udfleet.engines import duckdb as adapter
from udfleet.types.sql import parse


@pytest.fixture
def connection(fleet, flights):
    with duckdb.connect() as opened:
        opened.register("flights_arrow", flights)
        opened.execute("create table flights as from flights_arrow")
        for name in ("delay_class", "speed", "route", "picky", "greeting"):
            adapter.register(opened, fleet, name)
        yield opened


def rows(connection, sql):
    return connection.sql(sql).fetchall()


def test_all_flights_through_functions_of_every_func_type(connection):
    differing = """
        select count(*) from flights where
            delay_class(dep_delay) is distinct from case when dep_delay is null then 'cancelled'
                when dep_delay <= 0 then 'on time' when dep_delay < 30 then 'short' else 'long' end
            or speed(distance, air_time) is distinct from distance / (air_time / 60)
            or route(origin, dest) is distinct from origin || '-' || dest"""
    assert rows(connection, differing) == [(0,)]
    classes = dict(rows(connection, "select delay_class(dep_delay), count(*) from flights group by all"))
    assert classes["cancelled"] == 8255 and sum(classes.values()) == 336_776


def test_functions_in_every_place_of_a_query(connection):
    assert rows(connection, "select speed(distance, air_time) from flights where false") == []
    assert rows(connection, "select route('JFK', 'LAX'), greeting(), delay_class(null)") == [
        ("JFK-LAX", "hello", "cancelled")
    ]
    nested = "select max(route(route(origin, 'x'), dest)) from flights where delay_class(dep_delay) = 'long'"
    assert rows(connection, nested) == rows(
        connection, "select max(origin || '-x-' || dest) from flights where dep_delay >= 30"
    )
    joined = "from flights a join (values ('EWR-IAH')) b(r) on route(origin, dest) = r"
    assert rows(connection, f"select count(*) {joined}") == rows(
        connection, "select count(*) from flights where origin = 'EWR' and dest = 'IAH'"
    )


# The others: test_what_duckdb_can_not_take.
TYPES = [name for name in EVERY_TYPE if name not in ("NULL", "INTERVAL DAY TO SECOND")]


@pytest.mark.parametrize("name", TYPES)
def test_values_of_every_type_come_back_as_they_were(fleet, name):
    data_type = parse(name)
    given = column(data_type, Random(name), 3000, nulls=0.1)
    fleet.register_function("same", udf(lambda a: a, data_type, data_type))
    try:
        with duckdb.connect() as connection:
            connection.register("given", pa.table({"x": given}))
            adapter.register(connection, fleet, "same")
            assert rows(connection, "select x, same(x) from given where same(x) is distinct from x limit 3") == []
            assert rows(connection, "select count(*), count(same(x)) from given") == [(3000, 3000 - given.null_count)]
    finally:
        fleet.drop_function("same")


def test_intervals_as_results(fleet, connection):
    seconds = udf(lambda a: datetime.timedelta(seconds=a), "BIGINT", "INTERVAL DAY TO SECOND")
    fleet.register_function("seconds", seconds)
    adapter.register(connection, fleet, "seconds")
    assert rows(connection, "select seconds(90) = interval 90 seconds") == [(True,)]
    fleet.drop_function("seconds")


def test_enums_and_numbers_of_other_widths(connection):
    assert rows(connection, "select route('a'::enum('a', 'b'), 'x') from range(2)") == [("a-x",)] * 2
    assert rows(connection, "select picky(3::tinyint), speed(60::smallint, 60::float)") == [(3, 60.0)]


def test_an_error_of_the_function_is_duckdbs_exception_and_names_function_row_and_message(connection):
    with pytest.raises(duckdb.Error) as caught:
        rows(connection, "select picky(i) from range(10000) t(i)")
    text = str(caught.value)
    # The row within the 2048 rows that DuckDB gave.
    assert "UserCodeError: picky@1: row 904: ValueError: 5000 is one too many" in text
    assert "raise ValueError" in text
    assert rows(connection, "select picky(1)") == [(1,)]


def test_null_for_rows_that_fail(fleet, connection):
    adapter.register(connection, fleet, "picky", alias="lenient", on_error="null")
    assert rows(connection, "select i from range(10000) t(i) where lenient(i) is null") == [(5000,)]


def test_refused_when_it_is_registered(fleet, connection):
    check_refusals(lambda name, **options: adapter.register(connection, fleet, name, **options))
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"for how many rows.*\n.*argument that it ignores"):
        adapter.register(connection, fleet, "roll")


@pytest.mark.parametrize("name", ["NULL", "ARRAY<NULL>", "INTERVAL DAY TO SECOND", "ROW<a INTERVAL DAY TO SECOND>"])
def test_what_duckdb_can_not_take(fleet, connection, name):
    fleet.register_function("odd", udf(lambda a: 1, parse(name), "BIGINT"))
    try:
        with pytest.raises(
            udfleet.InvalidDefinitionError,
            match=r"odd@\d: DuckDB can't call it: column 0 has the .*type.*\n.*duckdb.md",
        ):
            adapter.register(connection, fleet, "odd")
    finally:
        fleet.drop_function("odd")


def test_the_planner_refuses_wrong_arguments(connection):
    for call in ("picky(1, 2)", "picky()", "picky('x'::varchar)", "picky(1.5::double)"):
        with pytest.raises(duckdb.BinderException):
            rows(connection, f"select {call}")


def test_a_query_keeps_the_version_that_was_registered(fleet):
    with duckdb.connect() as connection:
        first = fleet.register_function("answer", udf(lambda a: a, "BIGINT", "BIGINT"))
        adapter.register(connection, fleet, "answer")
        fleet.register_function("answer", udf(lambda a: f"<{a}>", "BIGINT", "STRING"))
        assert rows(connection, "select answer(1)") == [(1,)]
        adapter.register(connection, fleet, "answer")
        adapter.register(connection, fleet, first.reference, alias="old")
        assert rows(connection, "select answer(1), old(1)") == [("<1>", 1)]
        fleet.drop_function("answer")
        with pytest.raises(duckdb.Error, match="answer"):
            rows(connection, "select answer(2)")


def test_a_volatile_function_is_called_for_each_row(fleet):
    import random

    fleet.register_function("dice", udf(lambda a: random.randrange(10**15), "BIGINT", "BIGINT", deterministic=False))
    with duckdb.connect() as connection:
        adapter.register(connection, fleet, "dice")
        assert rows(connection, "select count(distinct dice(7)) from range(5000)") == [(5000,)]


def test_many_threads_share_a_fleet_and_few_streams(fleet, connection, monkeypatch):
    opened = count_streams(monkeypatch)
    connection.execute("set threads = 4")
    expected = rows(connection, "select count(*) from flights where distance / (air_time / 60) > 400")

    def query(cursor):
        return rows(cursor, "select count(*) from flights where mph(distance, air_time) > 400")

    with udfleet.connect(fleet.address, fleet.token) as client, ThreadPoolExecutor(4) as threads:
        adapter.register(connection, client, "speed", alias="mph")
        assert list(threads.map(query, [connection.cursor() for _ in range(12)])) == [expected] * 12
    # Two thousand calls.
    assert 0 < len(opened) < 60
