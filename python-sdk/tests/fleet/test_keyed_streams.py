"""Streams through functions with keyed state, on fleets of real processes: each row is applied once, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from fleet_support import alive

import udfleet
from udfleet import (
    DataTypes,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    ValueStateDescriptor,
    keyed_process,
)

PARTITIONS = 4


class Counting(KeyedProcessFunction):
    """For each row its key's number of rows, with all before it."""

    def open(self, runtime_context: Any) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", DataTypes.BIGINT()))
        self.rows = runtime_context.get_list_state(ListStateDescriptor("rows", DataTypes.BIGINT()))
        pages = MapStateDescriptor("pages", DataTypes.BIGINT(), DataTypes.BIGINT())
        self.pages = runtime_context.get_map_state(pages)

    def process_element(self, value: Any, ctx: Any) -> Any:
        if value.row < 0:
            raise ValueError("no such row")
        count = (self.seen.value() or 0) + 1
        self.seen.update(count)
        self.rows.add(value.row)
        page = value.row % 3
        self.pages.put(page, (self.pages.get(page) or 0) + 1)
        yield ctx.get_current_key(), value.row, count, list(self.rows), sum(self.pages.values())


COUNTING = keyed_process(
    Counting,
    input_types=[DataTypes.BIGINT()],
    result_types=DataTypes.ROW(
        [
            DataTypes.FIELD("user", DataTypes.STRING()),
            DataTypes.FIELD("row", DataTypes.BIGINT()),
            DataTypes.FIELD("n", DataTypes.BIGINT()),
            DataTypes.FIELD("rows", DataTypes.ARRAY(DataTypes.BIGINT())),
            DataTypes.FIELD("pages", DataTypes.BIGINT()),
        ]
    ),
)


def rows(count: int, users: int = 7, size: int = 10) -> list[pa.RecordBatch]:
    """Rows of users in turns, in batches."""
    numbers = list(range(count))
    table = pa.table({"user": [f"user-{number % users}" for number in numbers], "row": pa.array(numbers, pa.int64())})
    return table.to_batches(size)


def check(results: list[dict[str, Any]], count: int, users: int = 7) -> None:
    """Each row once, in order, and each key's state is made of all of its rows before."""
    assert [result["row"] for result in results] == list(range(count))
    for result in results:
        before = list(range(result["row"] % users, result["row"] + 1, users))
        assert result["user"] == f"user-{result['row'] % users}"
        assert (result["n"], result["rows"], result["pages"]) == (len(before), before, len(before))


@pytest.fixture(scope="module")
def counting(fleet: udfleet.LocalFleet) -> udfleet.LocalFleet:
    config = {"python.fn-execution.bundle.size": 20}
    fleet.register_function("counting", COUNTING, config=config, partitions=PARTITIONS)
    return fleet


def stream_of(fleet: udfleet.Fleet, stream: str, batches: Any, commit: str = "auto") -> Any:
    table = fleet.from_batches(batches)
    return table.key_by("user").process("counting(row)").open_stream(stream, commit=commit)


class Kinds(KeyedProcessFunction):
    """What each row does to its table."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        yield f"{value.get_row_kind()} {value.row}"


def test_rows_of_a_changelog_have_kinds(counting: udfleet.LocalFleet) -> None:
    counting.register_function("kinds", keyed_process(Kinds, DataTypes.BIGINT(), DataTypes.STRING()), partitions=2)
    columns = {"user": ["a", "b", "a", "a"], "row": pa.array([1, 2, 3, 4], pa.int64()), "op": [0, 1, 2, 3]}
    table = counting.from_batches([pa.record_batch(columns)], row_kind="op")
    with table.key_by("user").process("kinds(row)").open_stream("kinds") as stream:
        results = [row for bundle in stream for row in bundle.to_pylist()]
    assert [next(iter(row.values())) for row in results] == ["+I 1", "-U 2", "+U 3", "-D 4"]
    other = counting.from_batches([pa.record_batch({**columns, "op": [0, 1, 2, 4]})], row_kind="op")
    with (
        pytest.raises(udfleet.InvalidInputError),
        other.key_by("user").process("kinds(row)").open_stream("k") as stream,
    ):
        list(stream)


def test_rows_go_in_and_results_come_out_in_order(counting: udfleet.LocalFleet) -> None:
    results: list[dict[str, Any]] = []
    with stream_of(counting, "plain", rows(95)) as stream:
        assert (stream.position, stream.function) == (0, "counting@1")
        for bundle in stream:
            assert (bundle.first_row, stream.position) == (len(results), len(results))
            results += bundle.to_pylist()
        assert stream.position == 95
    check(results, 95)


def test_a_stream_that_is_opened_again_goes_on(counting: udfleet.LocalFleet) -> None:
    results: list[dict[str, Any]] = []
    with stream_of(counting, "again", rows(100)) as stream:
        for bundle in stream:
            results += bundle.to_pylist()
            bundle.commit()
            if len(results) >= 40:
                break
    with stream_of(counting, "again", rows(100)) as stream:
        assert stream.position == len(results) == 40
        for bundle in stream:
            results += bundle.to_pylist()
    check(results, 100)
    with stream_of(counting, "again", rows(100)) as stream:
        assert stream.position == 100
        assert list(stream) == []


def test_what_is_not_committed_is_not_applied(counting: udfleet.LocalFleet) -> None:
    with stream_of(counting, "left", rows(20), commit="manual") as stream:
        first = next(iter(stream)).to_pylist()
    with stream_of(counting, "left", rows(20)) as stream:
        assert stream.position == 0
        assert [row for bundle in stream for row in bundle.to_pylist()] == first


def test_a_row_that_raises_fails_the_stream_and_leaves_no_trace(counting: udfleet.LocalFleet) -> None:
    bad = [*rows(20, size=20), pa.record_batch({"user": ["user-1", "user-2"], "row": pa.array([20, -1], pa.int64())})]
    with pytest.raises(udfleet.UserCodeError) as raised, stream_of(counting, "raises", bad) as stream:
        for _ in stream:
            pass
    assert raised.value.function == "counting@1"
    with stream_of(counting, "raises", rows(30)) as stream:
        assert stream.position == 20
        last = [row for bundle in stream for row in bundle.to_pylist()]
    assert [row["n"] for row in last] == [(row["row"] // 7) + 1 for row in last]


def test_streams_share_no_state(counting: udfleet.LocalFleet) -> None:
    for stream_id in ("one", "other"):
        with stream_of(counting, stream_id, rows(20)) as stream:
            check([row for bundle in stream for row in bundle.to_pylist()], 20)


def test_of_two_that_open_a_stream_the_first_is_refused(counting: udfleet.LocalFleet) -> None:
    with stream_of(counting, "two", rows(40)) as first:
        bundles = iter(first)
        next(bundles).commit()
        with stream_of(counting, "two", rows(40)) as second:
            assert second.position == 20
            with pytest.raises(udfleet.InvalidInputError, match="another client"):
                next(bundles)
            assert sum(bundle.rows for bundle in second) == 20


def test_other_calls_of_a_keyed_function_are_refused(counting: udfleet.LocalFleet) -> None:
    with pytest.raises(udfleet.InvalidInputError, match="keeps state"):
        counting.call("counting", [1])
    plain = udfleet.udtf(lambda row: [row], DataTypes.BIGINT(), DataTypes.BIGINT())
    counting.register_function("plain_table", plain)
    with pytest.raises(udfleet.InvalidInputError, match="keeps no state"):
        counting.from_batches(rows(1)).key_by("user").process("plain_table(row)").open_stream("s")


@pytest.fixture
def own_fleet(files_of_tests: None) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as fleet:
        config = {"python.fn-execution.bundle.size": 20}
        fleet.register_function("counting", COUNTING, config=config, partitions=PARTITIONS)
        yield fleet


@pytest.mark.parametrize("between", ["delivered and commit", "commit and delivered"])
def test_an_executor_is_killed(own_fleet: udfleet.LocalFleet, between: str) -> None:
    results: list[dict[str, Any]] = []
    victim = own_fleet.pids["executor-0" if "executor-0" in own_fleet.pids else "executor-1"]
    with stream_of(own_fleet, "killed", rows(200)) as stream:
        for number, bundle in enumerate(stream):
            if number == 3 and between == "delivered and commit":
                os.kill(victim, signal.SIGKILL)
            bundle.commit()
            results += bundle.to_pylist()
            if number == 3 and between == "commit and delivered":
                os.kill(victim, signal.SIGKILL)
    assert not alive(victim)
    check(results, 200)


_CLIENT = """
import sys
sys.path.insert(0, {folder!r})
import udfleet
import test_keyed_streams as shared

fleet = udfleet.connect({address!r}, token={token!r})
with shared.stream_of(fleet, "client", shared.rows(200)) as stream:
    for bundle in stream:
        for result in bundle.to_pylist():
            print(result["row"], flush=True)
        bundle.commit()
        print("committed", stream.position, flush=True)
"""


def test_a_client_is_killed_and_another_goes_on(own_fleet: udfleet.LocalFleet) -> None:
    code = textwrap.dedent(_CLIENT).format(
        folder=os.path.dirname(__file__), address=own_fleet.address, token=own_fleet.token
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        for line in client.stdout:
            if line.startswith("committed") and int(line.split()[1]) >= 60:
                break
        client.kill()
    with stream_of(own_fleet, "client", rows(200)) as stream:
        position = stream.position
        assert position >= 60
        assert position % 20 == 0
        results = [result for bundle in stream for result in bundle.to_pylist()]
    assert {result["row"] for result in results} <= set(range(position, 200))
    for result in results:
        # What a bundle had committed in some partitions when its client died is applied, and not delivered again.
        before = list(range(result["row"] % 7, result["row"] + 1, 7))
        assert (result["n"], result["rows"], result["pages"]) == (len(before), before, len(before))
    assert [result["row"] for result in results if result["row"] >= position + 20] == list(range(position + 20, 200))
