"""Lines for every kind of function, each against the same work in a plain loop in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import clients
import numpy as np
import pyarrow as pa
from lines import Fleets, Line, streamed

import udfleet
from udfleet import AggregateFunction, DataTypes, udaf, udf, udtf

BIGINT, DOUBLE, STRING = DataTypes.BIGINT(), DataTypes.DOUBLE(), DataTypes.STRING()
ROWS = 10_000
WAIT_SECONDS = 0.01
WORDS = pa.record_batch({"s": [f"word {i} of the line" for i in range(ROWS)]})
DOCUMENTS = pa.record_batch(
    {"s": [json.dumps({"id": i, "tags": ["a", "b"], "user": {"name": "u"}}) for i in range(ROWS)]}
)
GROUPS = pa.record_batch({"k": np.arange(ROWS) % 100, "v": np.arange(ROWS, dtype="f8")})
INTS = pa.record_batch({"i": np.arange(ROWS)})
DOUBLES = pa.record_batch({"i": np.arange(ROWS, dtype="f8")})
# Engines send chunks of 256 (RisingWave, streaming) to 2,048 rows (DuckDB).
CHUNK = pa.record_batch({"i": np.arange(1_024)})
WAITS = pa.record_batch({"i": np.arange(200)})


def upper(s):
    return s.upper()


def user_id(s):
    return json.loads(s)["id"]


def split(s):
    yield from s.split(" ")


class Mean(AggregateFunction):
    def create_accumulator(self):
        return [0.0, 0]

    def accumulate(self, accumulator, value):
        accumulator[0] += value
        accumulator[1] += 1

    def merge(self, accumulator, accumulators):
        for total, count in accumulators:
            accumulator[0] += total
            accumulator[1] += count

    def get_value(self, accumulator):
        return accumulator[0] / accumulator[1]


def mean_pandas(v):
    return v.mean()


def plus_one(i):
    return i + 1


def plus_one_arrow(i):
    import pyarrow.compute as pc

    return pc.add(i, 1.0)


async def wait(i):
    await asyncio.sleep(WAIT_SECONDS)
    return i


REGISTERED = {
    "upper": udf(upper, STRING, STRING),
    "user_id": udf(user_id, STRING, BIGINT),
    "split": udtf(split, STRING, STRING),
    "mean": udaf(Mean(), DOUBLE, DOUBLE, accumulator_type=DataTypes.ARRAY(DOUBLE)),
    "mean_pandas": udaf(mean_pandas, DOUBLE, DOUBLE, func_type="pandas"),
    "wait": udf(wait, BIGINT, BIGINT),
}
CHAIN = ("first", "second", "third")
for link in CHAIN:
    REGISTERED[link] = udf(plus_one, BIGINT, BIGINT)
    REGISTERED[f"{link}_arrow"] = udf(plus_one_arrow, DOUBLE, DOUBLE, func_type="arrow")
    REGISTERED[f"{link}_pandas"] = udf(plus_one, DOUBLE, DOUBLE, func_type="pandas")


def loop(batch: pa.RecordBatch, count: int, work: Callable[[pa.RecordBatch], object]) -> float:
    """Rows per second of a plain loop over that many batches."""
    return count * len(batch) / clients.timed(lambda: [work(batch) for _ in range(count)])


def loop_upper(batch: pa.RecordBatch) -> object:
    return pa.array([upper(s) for s in batch.column(0).to_pylist()], pa.string())


def loop_user_id(batch: pa.RecordBatch) -> object:
    return pa.array([user_id(s) for s in batch.column(0).to_pylist()], pa.int64())


def loop_split(batch: pa.RecordBatch) -> object:
    rows, words = [], []
    for row, s in enumerate(batch.column(0).to_pylist()):
        for word in split(s):
            rows.append(row)
            words.append(word)
    return pa.record_batch({"row": pa.array(rows, pa.int32()), "word": pa.array(words, pa.string())})


def loop_mean(count: int) -> float:
    """Rows per second of grouping and accumulating in a dict."""

    def run() -> object:
        mean, groups = Mean(), {}
        for _ in range(count):
            for k, v in zip(GROUPS.column(0).to_pylist(), GROUPS.column(1).to_pylist(), strict=True):
                accumulator = groups.get(k)
                if accumulator is None:
                    accumulator = groups[k] = mean.create_accumulator()
                mean.accumulate(accumulator, v)
        return pa.array([mean.get_value(accumulator) for accumulator in groups.values()])

    return count * ROWS / clients.timed(run)


def loop_mean_pandas(count: int) -> float:
    """Rows per second of pandas' own groupby with the same function."""
    table = pa.Table.from_batches([GROUPS] * count)
    return count * ROWS / clients.timed(lambda: table.to_pandas().groupby("k")["v"].apply(mean_pandas))


def grouped(fleet: udfleet.Fleet, function: str, count: int) -> float:
    """Rows per second of a group_by."""
    table = fleet.from_arrow(pa.Table.from_batches([GROUPS] * count))

    def run() -> None:
        assert table.group_by("k").select(f"k, {function}(v) as m").to_arrow().num_rows == 100

    return count * ROWS / clients.timed(run)


def chained(fleet: udfleet.Fleet, suffix: str, batch: pa.RecordBatch, count: int) -> float:
    """Rows per second of three functions in one expression."""
    table = fleet.from_batches([batch] * count)
    first, second, third = (link + suffix for link in CHAIN)

    def run() -> None:
        answers = table.select(f"{third}({second}({first}(i))) as x").execute()
        assert sum(len(answer) for answer in answers) == count * len(batch)

    return count * len(batch) / clients.timed(run)


def unchained(fleet: udfleet.Fleet, suffix: str, batch: pa.RecordBatch, count: int) -> float:
    """The same as three streams, one behind the other."""

    def run() -> None:
        batches = (batch for _ in range(count))
        for link in CHAIN:
            batches = fleet.stream(link + suffix, batches)
        assert sum(len(batch) for batch in batches) == count * len(batch)

    return count * len(batch) / clients.timed(run)


def sequential(batch: pa.RecordBatch) -> object:
    async def run() -> list[int]:
        return [await wait(i) for i in batch.column(0).to_pylist()]

    return pa.array(asyncio.run(run()), pa.int64())


def lines(fleets: Fleets) -> list[Line]:
    """All of them, in the order in which they are shown."""
    one = fleets.one
    for name, function in REGISTERED.items():
        one.register_function(name, function)
    plain = "a plain loop in this process"
    return [
        Line(
            "general, STRING: upper",
            plain,
            0.8,
            "rows/s",
            lambda: (streamed(one, "upper", WORDS, 150), loop(WORDS, 30, loop_upper)),
        ),
        Line(
            "general, STRING: JSON parsed",
            plain,
            0.8,
            "rows/s",
            lambda: (streamed(one, "user_id", DOCUMENTS, 60), loop(DOCUMENTS, 20, loop_user_id)),
        ),
        Line(
            "table function, STRING split into 5",
            plain,
            0.8,
            "rows/s",
            lambda: (unnested(one, "split", WORDS, 40), loop(WORDS, 15, loop_split)),
        ),
        Line(
            "grouped mean, general, 100 groups",
            plain,
            0.8,
            "rows/s",
            lambda: (grouped(one, "mean", 60), loop_mean(30)),
        ),
        Line(
            "grouped mean, pandas, 100 groups",
            "pandas groupby in this process",
            None,
            "rows/s",
            lambda: (grouped(one, "mean_pandas", 100), loop_mean_pandas(100)),
        ),
        *chains(one),
        Line(
            "async function, 10 ms of waiting, 100 at a time",
            "one after the other",
            20.0,
            "rows/s",
            lambda: (streamed(one, "wait", WAITS, 10), loop(WAITS, 1, sequential)),
        ),
    ]


def chains(fleet: udfleet.Fleet) -> list[Line]:
    """Three functions in one call and in three, for each func_type."""

    def line(name: str, suffix: str, batch: pa.RecordBatch, count: int) -> Line:
        def measure() -> tuple[float, float]:
            return chained(fleet, suffix, batch, count), unchained(fleet, suffix, batch, count)

        return Line(f"three {name}, chained", "three streams", 2.0, "rows/s", measure)

    return [
        line("general functions, 1,024-row batches", "", CHUNK, 400),
        line("general functions, 10,000-row batches", "", INTS, 100),
        line("arrow functions, 10,000-row batches", "_arrow", DOUBLES, 1_000),
        line("pandas functions, 10,000-row batches", "_pandas", DOUBLES, 500),
    ]


def unnested(fleet: udfleet.Fleet, function: str, batch: pa.RecordBatch, count: int) -> float:
    """Input rows per second of a table function that gives five rows for each."""
    rows = 0

    def run() -> None:
        nonlocal rows
        rows = sum(len(answer) for answer in fleet.stream(function, (batch for _ in range(count))))

    seconds = clients.timed(run)
    assert rows == 5 * count * len(batch), f"{rows} rows came back"
    return count * len(batch) / seconds
