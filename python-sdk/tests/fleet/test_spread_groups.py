"""Groups whose aggregates can't be merged are spread over the interpreters by key, and come out as pandas has them."""

from __future__ import annotations

import concurrent.futures
import math
import os
import random
import signal
import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, Sum, eventually, failure_of

import udfleet
from udfleet import DataTypes, udaf

DOUBLE = DataTypes.DOUBLE()
ROWS = 6000


def median(x: Any) -> Any:
    return x.median()


def joined(words: Any) -> str:
    """Says in which order the rows have come."""
    return ",".join(str(word) for word in words)


def interpreter(x: Any) -> int:
    import os

    return os.getpid()


def executor(x: Any) -> int:
    import os

    return os.getppid()


@pytest.fixture(scope="module")
def spread() -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=2) as fleet:
        fleet.register_function("median", udaf(median, input_types=DOUBLE, result_type=DOUBLE, func_type="pandas"))
        fleet.register_function("joined", udaf(joined, input_types=BIGINT, result_type=STRING, func_type="pandas"))
        fleet.register_function("pid", udaf(interpreter, input_types=BIGINT, result_type=BIGINT, func_type="pandas"))
        fleet.register_function("owner", udaf(executor, input_types=BIGINT, result_type=BIGINT, func_type="pandas"))
        fleet.register_function("total", udaf(Sum(), input_types=BIGINT, result_type=BIGINT))
        plan = fleet.from_elements([(1, 2)], "a, b").group_by("a").select("a, pid(b) as p")
        eventually("all interpreters serve", lambda: "by key over 4 interpreters" in plan.explain())
        yield fleet


def random_table() -> pa.Table:
    """Keys of all kinds, with everything that equality is peculiar about."""
    some = random.Random(7)
    numbers = [None, 0.0, -0.0, math.nan, struct.unpack("<d", b"\1\0\0\0\0\0\xf8\xff")[0], 1.5, -1.5, 1e300]
    words = [None, "", "a", "b", "ab", "\0", "ä" * 40]
    rows = [None, {"x": 1, "y": None}, {"x": None, "y": "1"}, {"x": 1, "y": "1"}, {"x": None, "y": None}]
    return pa.table(
        {
            "number": pa.array([some.choice(numbers) for _ in range(ROWS)], pa.float64()),
            "word": pa.array([some.choice(words) for _ in range(ROWS)], pa.string()),
            "nested": pa.array(
                [some.choice(rows) for _ in range(ROWS)], pa.struct({"x": pa.int32(), "y": pa.string()})
            ),
            "count": pa.array([some.randrange(50) for _ in range(ROWS)], pa.int64()),
            "v": pa.array([some.uniform(-1, 1) for _ in range(ROWS)], pa.float64()),
            "n": pa.array(range(ROWS), pa.int64()),
        }
    )


def canonical(value: Any) -> str:
    """Equal for what is one group."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value + 0.0)
    return repr(value)


def batches_of(table: pa.Table, rows: int) -> list[pa.RecordBatch]:
    return table.to_batches(max_chunksize=rows)


@pytest.mark.parametrize("keys", [["number"], ["word"], ["nested"], ["number", "word", "nested"], ["count"]])
def test_results_are_those_of_pandas(spread, keys):
    table = random_table()
    frame = table.to_pandas()
    labels = ["/".join(canonical(row[key]) for key in keys) for row in table.select(keys).to_pylist()]
    of_pandas = frame.groupby(pa.array(labels).to_pandas())
    medians, sums, orders = of_pandas["v"].median(), of_pandas["n"].sum(), of_pandas["n"].apply(joined)
    grouped = spread.from_batches(batches_of(table, 500)).group_by(", ".join(keys))

    def results(aggregates: str) -> dict[str, Any]:
        select = grouped.select(f"{', '.join(keys)}, {aggregates}")
        assert "spread by key" in select.explain()
        rows = select.to_pylist()
        found = {"/".join(canonical(row[key]) for key in keys): row for row in rows}
        assert len(found) == len(rows), "each group once"
        assert all(math.copysign(1, row["number"]) == 1 for row in rows if row.get("number") == 0)
        return found

    of_series = results("median(v) as m, joined(n) as j")
    assert {label: row["m"] for label, row in of_series.items()} == dict(medians)
    assert {label: row["j"] for label, row in of_series.items()} == dict(orders), "rows stay in their order"
    general = results("total(n) as s, count(DISTINCT count) as d")
    assert {label: row["s"] for label, row in general.items()} == dict(sums)
    assert {label: row["d"] for label, row in general.items()} == dict(of_pandas["count"].nunique())


def test_all_interpreters_of_all_executors_take_part(spread):
    grouped = spread.from_arrow(random_table()).group_by("count").select("count, pid(n) as p, owner(n) as e")
    rows = grouped.to_pylist()
    assert len({row["p"] for row in rows}) == 4
    assert {row["e"] for row in rows} == {pid for name, pid in spread.pids.items() if name != "coordinator"}


def test_what_is_computed_before_and_behind_goes_along(spread):
    grouped = spread.from_arrow(random_table()).where("n % 3 = 0").group_by("count % 7 as k")
    rows = grouped.select("k, total(n + 1) * 2 as s").where("k > 3").to_pylist()
    frame = random_table().to_pandas()
    frame = frame[(frame.n % 3 == 0) & (frame["count"] % 7 > 3)]
    expected = dict(frame.groupby(frame["count"] % 7)["n"].apply(lambda n: 2 * (n + 1).sum()))
    assert {row["k"]: row["s"] for row in rows} == expected


def test_groups_of_groups(spread):
    first = spread.from_arrow(random_table()).group_by("count, word").select("count, word, total(n) as s")
    second = first.group_by("word").select("word, total(s) as t").to_pylist()
    expected = dict(random_table().to_pandas().fillna({"word": "none"}).groupby("word")["n"].sum())
    assert {"none" if row["word"] is None else row["word"]: row["t"] for row in second} == expected
    assert len(second) == len(expected)


def test_no_rows_and_few_rows(spread):
    table = random_table()
    for rows in [0, 1, 2]:
        grouped = spread.from_arrow(table.slice(0, rows)).group_by("n").select("n, median(v) as m")
        assert sorted(grouped.to_arrow()["n"].to_pylist()) == list(range(rows))
    assert table.slice(0, 0).num_rows == 0
    whole = spread.from_arrow(table.slice(0, 0)).select("total(n) as s").to_pylist()
    assert whole == [{"s": 0}], "without keys there is one group, of no rows"


def test_many_streams_at_once(spread):
    """More partitions than interpreters: they share, and none waits for another."""
    table = random_table()
    expected = dict(table.to_pandas().groupby("count")["n"].sum())

    def run(_: int) -> dict[int, int]:
        grouped = spread.from_batches(batches_of(table, 300)).group_by("count").select("count, total(n) as s")
        return {row["count"]: row["s"] for row in grouped.to_pylist()}

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(run, range(24)))


def test_an_error_names_the_row_as_it_was_sent(spread):
    class Strict(Sum):
        def accumulate(self, accumulator: list[Any], value: Any) -> None:
            if value == 777:
                raise ValueError("no sevens")
            super().accumulate(accumulator, value)

    spread.register_function("strict", udaf(Strict(), input_types=BIGINT, result_type=BIGINT))
    grouped = spread.from_arrow(random_table()).group_by("count").select("count, strict(n) as s")
    error = failure_of(udfleet.UserCodeError, grouped.to_arrow)
    assert (error.function, error.row) == ("strict@1", 777)


class Killing(list[Any]):
    """Batches, in the middle of which an executor is killed: the first time that they are read."""

    victim = 0
    begun = 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        for index, batch in enumerate(super().__iter__()):
            if index == len(self) // 2 and self.victim:
                os.kill(self.victim, signal.SIGKILL)
                self.victim = 0
            yield batch


@pytest.mark.parametrize("replayable", [True, False])
def test_an_executor_is_killed_in_the_middle(replayable):
    table = random_table()
    with udfleet.local(executors=2, interpreters=2) as fleet:
        fleet.register_function("total", udaf(Sum(), input_types=BIGINT, result_type=BIGINT))
        batches = Killing(batches_of(table, 20))
        batches.victim = fleet.pids["executor-1"]
        source = fleet.from_batches(batches if replayable else iter(batches), table.schema)
        grouped = source.group_by("count").select("count, total(n) as s")
        eventually("both executors serve", lambda: "spread by key" in grouped.explain())
        if replayable:
            found = {row["count"]: row["s"] for row in grouped.to_pylist()}
            assert found == dict(table.to_pandas().groupby("count")["n"].sum())
            assert (batches.victim, batches.begun) == (0, 2), "it was killed, and all was run again"
        else:
            error = failure_of(udfleet.ExecutorLostError, grouped.to_pylist)
            assert error.retryable
