"""Streams of groups, on fleets of real processes: changes in, changes out, whoever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from fleet_support import alive

import udfleet
from udfleet import AggregateFunction, DataTypes, MapView, Row, TableAggregateFunction, udaf, udtaf

BIGINT = DataTypes.BIGINT()
CONFIG = {"python.fn-execution.bundle.size": 20}


class Total(AggregateFunction):
    def create_accumulator(self) -> Any:
        return [0]

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        accumulator[0] += args[0]

    def retract(self, accumulator: Any, *args: Any) -> None:
        accumulator[0] -= args[0]

    def get_value(self, accumulator: Any) -> Any:
        return accumulator[0]


class Top2(TableAggregateFunction):
    """The two greatest values, of all that a view holds."""

    def create_accumulator(self) -> Any:
        return Row(MapView())

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        accumulator[0][args[0]] = (accumulator[0].get(args[0]) or 0) + 1

    def retract(self, accumulator: Any, *args: Any) -> None:
        left = accumulator[0][args[0]] - 1
        if left:
            accumulator[0][args[0]] = left
        else:
            del accumulator[0][args[0]]

    def emit_value(self, accumulator: Any) -> Any:
        values = [value for value, count in accumulator[0].items() for _ in range(count)]
        yield from sorted(values, reverse=True)[:2]


class TotalAgain(Total):
    """The next version."""


TOTAL = udaf(Total(), [BIGINT], BIGINT, DataTypes.ARRAY(BIGINT))
AGAIN = udaf(TotalAgain(), [BIGINT], BIGINT, DataTypes.ARRAY(BIGINT))
TOP2 = udtaf(
    Top2(),
    [BIGINT],
    DataTypes.ROW([DataTypes.FIELD("v", BIGINT)]),
    DataTypes.ROW([DataTypes.FIELD("counts", DataTypes.MAP_VIEW(BIGINT, BIGINT))]),
)


@pytest.fixture(scope="module")
def totals(fleet: udfleet.LocalFleet) -> udfleet.LocalFleet:
    fleet.register_function("total", TOTAL, config=CONFIG)
    fleet.register_function("top2", TOP2, config=CONFIG)
    return fleet


def batches(*rows: tuple[Any, ...], size: int = 20) -> list[pa.RecordBatch]:
    names = ["op", "user", "amount"]
    table = pa.table(
        {
            "op": pa.array([row[0] for row in rows], pa.int8()),
            "user": pa.array([row[1] for row in rows], pa.string()),
            "amount": pa.array([row[2] for row in rows], pa.int64()),
        }
    ).select(names)
    return table.to_batches(size)


def rows_of(count: int, users: int = 7) -> list[tuple[Any, ...]]:
    return [(0, f"user-{number % users}", number) for number in range(count)]


def results(stream: udfleet.KeyedStream) -> list[dict[str, Any]]:
    return [row for bundle in stream for row in bundle.to_pylist()]


def applied(changes: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The table that changes make; a change that does not fit it is an error."""
    table: list[tuple[Any, ...]] = []
    for change in changes:
        kind = change["row_kind"]
        row = tuple(value for name, value in change.items() if name != "row_kind")
        if kind in (0, 2):
            table.append(row)
        else:
            table.remove(row)
    return sorted(table, key=repr)


def test_totals_of_users_as_a_changelog(totals: udfleet.LocalFleet) -> None:
    source = totals.from_batches(batches(*rows_of(100)))
    grouped = source.group_by("user").select("user, total(amount) as s")
    with grouped.open_stream("totals") as stream:
        assert stream.schema.names == ["user", "s", "row_kind"]
        changes = results(stream)
        assert stream.position == 100
    assert [change["row_kind"] for change in changes[:7]] == [0] * 7
    assert {change["row_kind"] for change in changes[7:]} == {1, 2}
    expected = [(f"user-{user}", sum(range(user, 100, 7))) for user in range(7)]
    assert applied(changes) == expected
    with grouped.open_stream("totals") as stream:
        assert stream.position == 100
        assert list(stream) == []
    # A function that is registered anew goes on with the accumulators of the version before.
    totals.register_function("total", AGAIN, config=CONFIG)
    further = totals.from_batches(batches(*rows_of(101))).group_by("user").select("user, total(amount) as s")
    with further.open_stream("totals") as stream:
        assert stream.position == 100
        assert applied([*changes, *results(stream)])[2] == ("user-2", sum(range(2, 101, 7)))


def test_a_changelog_in_and_several_aggregates(totals: udfleet.LocalFleet) -> None:
    rows = [(0, "a", 1), (0, "a", 2), (0, "b", 5), (0, None, 1), (1, "a", 1), (2, "a", 2), (3, "b", 5), (3, "x", 9)]
    given = batches(*rows, size=4)
    table = totals.from_batches(given, row_kind="op")
    grouped = table.group_by("user").select(
        "total(amount + 1) as t, user, count(*) as n, count(distinct amount) as d, min(amount) as least,"
        " max(amount) as most, avg(amount) as mean, sum(amount) filter (where amount > 1) as big,"
        " last_value(amount) as last"
    )
    with grouped.open_stream("several", partitions=3) as stream:
        changes = results(stream)
    names = [name for name in stream.schema.names if name != "row_kind"]
    assert names == ["t", "user", "n", "d", "least", "most", "mean", "big", "last"]
    assert applied(changes) == [(2, None, 1, 1, 1, 1, 1, None, 1), (6, "a", 2, 1, 2, 2, 2, 4, 2)]


def test_a_table_aggregate(totals: udfleet.LocalFleet) -> None:
    rows = [(0, "a", 1), (0, "a", 5), (0, "a", 3), (3, "a", 5), (0, "b", 1), (3, "b", 1)]
    table = totals.from_batches(batches(*rows, size=20), row_kind="op")
    grouped = table.group_by("user").flat_aggregate("top2(amount) as (v)")
    with grouped.open_stream("tops") as stream:
        assert stream.schema.names == ["user", "v", "row_kind"]
        assert applied(results(stream)) == [("a", 1), ("a", 3)]


def test_groups_of_a_streams_results(totals: udfleet.LocalFleet) -> None:
    first = totals.from_batches(batches(*rows_of(60))).group_by("user").select("user, total(amount) as s")
    with first.open_stream("inner") as stream:
        changes = [batch for bundle in stream for batch in bundle.to_arrow().to_batches()]
    table = totals.from_batches(changes, row_kind="row_kind")
    with table.select("count(*) as users, sum(s) as s, max(s) as most").open_stream("outer") as stream:
        (row,) = applied(results(stream))
    assert row == (7, sum(range(60)), max(sum(range(user, 60, 7)) for user in range(7)))


def test_what_a_stream_of_groups_refuses(totals: udfleet.LocalFleet) -> None:
    table = totals.from_batches(batches(*rows_of(3)), row_kind="op")
    with pytest.raises(udfleet.InvalidPlanError, match="neither a key"):
        table.group_by("user").select("user, total(amount) + 1 as s").open_stream("s")
    with pytest.raises(udfleet.InvalidPlanError, match="no groups at its end"):
        table.open_stream("s")
    with pytest.raises(udfleet.InvalidPlanError, match="left out"):
        table.select("user, amount").group_by("user").select("total(amount) as t").open_stream("s")
    with pytest.raises(udfleet.InvalidPlanError, match="table of changes"):
        table.group_by("user").select("user, total(amount) as s").to_pylist()
    with pytest.raises(udfleet.InvalidInputError, match="row_kind"):
        totals.from_batches(batches(*rows_of(3)), row_kind="user")
    bad = totals.from_batches(batches((7, "a", 1)), row_kind="op").group_by("user").select("total(amount) as t")
    with pytest.raises(udfleet.UserCodeError, match="row kinds"), bad.open_stream("s") as stream:
        results(stream)


@pytest.fixture
def own_fleet(files_of_tests: None) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("total", TOTAL, config=CONFIG)
        yield fleet


def test_an_executor_is_killed(own_fleet: udfleet.LocalFleet) -> None:
    victim = own_fleet.pids["executor-0" if "executor-0" in own_fleet.pids else "executor-1"]
    table = own_fleet.from_batches(batches(*rows_of(200)))
    changes: list[dict[str, Any]] = []
    with table.group_by("user").select("user, total(amount) as s").open_stream("killed", partitions=4) as stream:
        for number, bundle in enumerate(stream):
            if number == 3:
                os.kill(victim, signal.SIGKILL)
            bundle.commit()
            changes += bundle.to_pylist()
    assert not alive(victim)
    assert applied(changes) == [(f"user-{user}", sum(range(user, 200, 7))) for user in range(7)]
