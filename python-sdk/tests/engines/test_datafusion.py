"""SQL in DataFusion that calls functions of the fleet gives what DataFusion's own SQL gives."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

import datafusion
import pyarrow as pa
import pytest
from fleet_support import count_streams
from refusals import check_refusals
from type_values import EVERY_TYPE, column

import udfleet
from udfleet import udf
from udfleet._flight import pipeline
from udfleet.engines import datafusion as adapter
from udfleet.types.sql import parse


@pytest.fixture(scope="module")
def context(fleet, flights):
    made = datafusion.SessionContext()
    made.from_arrow(flights, "flights")
    for name in ("delay_class", "speed", "route", "picky", "greeting"):
        adapter.register(made, fleet, name)
    return made


def rows(context, sql):
    return [tuple(row.values()) for row in context.sql(sql).to_pylist()]


DIFFERING = """
    select count(*) from flights where
        (delay_class(dep_delay) is distinct from (case when dep_delay is null then 'cancelled'
            when dep_delay <= 0 then 'on time' when dep_delay < 30 then 'short' else 'long' end))
        or (speed(distance, air_time) is distinct from (distance / (air_time / 60)))
        or (route(origin, dest) is distinct from (origin || '-' || dest))"""


def test_all_flights_through_functions_of_every_func_type(context):
    assert rows(context, DIFFERING) == [(0,)]
    classes = dict(rows(context, "select delay_class(dep_delay) c, count(*) n from flights group by 1"))
    assert classes["cancelled"] == 8255 and sum(classes.values()) == 336_776


def test_functions_in_every_place_of_a_query(context):
    assert rows(context, "select speed(distance, air_time) s from flights where false") == []
    assert rows(context, "select route('JFK', 'LAX') a, greeting() b, delay_class(null) c") == [
        ("JFK-LAX", "hello", "cancelled")
    ]
    assert rows(context, "select count(*) n from flights where greeting() = 'hello'") == [(336_776,)]
    nested = "select max(route(route(origin, 'x'), dest)) m from flights where delay_class(dep_delay) = 'long'"
    assert rows(context, nested) == rows(
        context, "select max(origin || '-x-' || dest) m from flights where dep_delay >= 30"
    )
    assert rows(context, "select picky(cast(3 as tinyint)) a, speed(cast(60 as smallint), 60) b") == [(3, 60.0)]
    texts = "arrow_cast(origin, 'Dictionary(Int32, Utf8)'), arrow_cast(dest, 'Utf8View')"
    assert rows(context, f"select count(*) n from flights where route({texts}) <> origin || '-' || dest") == [(0,)]


def test_the_function_in_expressions(fleet, context):
    speed = adapter.register(context, fleet, "speed", alias="mph")
    col = datafusion.col
    fast = context.table("flights").filter(speed(col("distance"), col("air_time")) > datafusion.lit(400.0)).count()
    assert [(fast,)] == rows(context, "select count(*) n from flights where distance / (air_time / 60) > 400")
    assert rows(context, "select mph(100, 30.0) x") == [(200.0,)]


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_values_of_every_type_come_back_as_they_were(fleet, name):
    data_type = parse(name)
    given = pa.table({"x": column(data_type, Random(name), 3000, nulls=0.1)})
    fleet.register_function("same", udf(lambda a: a, data_type, data_type))
    try:
        context = datafusion.SessionContext()
        context.from_arrow(given, "given")
        adapter.register(context, fleet, "same")
        got = pa.Table.from_batches(context.sql("select same(x) as x from given").collect())
        assert got.column("x").equals(given.column("x"))
    finally:
        fleet.drop_function("same")


def test_an_error_of_the_function_is_datafusions_exception_and_names_function_row_and_message(context):
    with pytest.raises(Exception, match=r"UserCodeError\('picky@1: row 5000: ValueError: 5000 is one too many'\)"):
        rows(context, "select picky(value) p from generate_series(0, 9999)")
    assert rows(context, "select picky(1) p") == [(1,)]


def test_null_for_rows_that_fail(fleet, context):
    adapter.register(context, fleet, "picky", alias="lenient", on_error="null")
    assert rows(context, "select value from generate_series(0, 9999) where lenient(value) is null") == [(5000,)]


def test_refused_when_it_is_registered(fleet, context):
    check_refusals(lambda name, **options: adapter.register(context, fleet, name, **options))
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"for how many rows.*\n.*argument that it ignores"):
        adapter.register(context, fleet, "roll")


@pytest.mark.parametrize("call", ["picky(1, 2)", "picky()", "picky('x')", "picky(1.5)"])
def test_the_planner_refuses_wrong_arguments(context, call):
    with pytest.raises(Exception, match="Error during planning"):
        rows(context, f"select {call} x")


def test_a_query_keeps_the_version_that_was_registered(fleet):
    context = datafusion.SessionContext()
    fleet.register_function("answer", udf(lambda a: a, "BIGINT", "BIGINT"))
    try:
        adapter.register(context, fleet, "answer")
        fleet.register_function("answer", udf(lambda a: f"<{a}>", "BIGINT", "STRING"))
        assert rows(context, "select answer(1) a") == [(1,)]
        adapter.register(context, fleet, "answer")
        assert rows(context, "select answer(1) a") == [("<1>",)]
    finally:
        fleet.drop_function("answer")


def test_many_threads_share_a_fleet_and_few_streams(fleet, flights, monkeypatch):
    called_from, send = set(), pipeline.ExchangeStream.send

    def counted_send(self, item):
        called_from.add(threading.get_ident())
        send(self, item)

    monkeypatch.setattr(pipeline.ExchangeStream, "send", counted_send)
    opened = count_streams(monkeypatch)
    context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(2))
    context.from_arrow(flights, "flights")
    with udfleet.connect(fleet.address, fleet.token) as client, ThreadPoolExecutor(4) as threads:
        for name in ("delay_class", "speed", "route"):
            adapter.register(context, client, name)
        assert list(threads.map(lambda _: rows(context, DIFFERING), range(8))) == [[(0,)]] * 8
    # DataFusion's own threads, one for each core; a thousand calls.
    assert len(called_from) >= min(2, len(os.sched_getaffinity(0)))
    assert 0 < len(opened) < 100
