"""Keyed state: sums per key in streams that commit, against a loop over a dict in one process."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from lines import Fleets, Line

import udfleet
from udfleet import DataTypes, KeyedProcessFunction, ValueStateDescriptor, keyed_process

KEYS = 1_000
BUNDLE = 10_000
BUNDLES = 30
MISSES = 100_000
"""Keys of which each is seen once, with nothing held in memory."""
MISSES_PER_SECOND = 20_000.0
_numbers = itertools.count(1)


class _Sum(KeyedProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self.sum = runtime_context.get_state(ValueStateDescriptor("sum", DataTypes.BIGINT()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        total = (self.sum.value() or 0) + value.amount
        self.sum.update(total)
        yield ctx.get_current_key(), total


_SUM = keyed_process(_Sum, input_types=[DataTypes.BIGINT()], result_types=[DataTypes.BIGINT(), DataTypes.BIGINT()])


def rows(count: int, keys: int) -> pa.RecordBatch:
    """Rows of keys in an order that has no pattern."""
    numbers = np.random.default_rng(7).integers(0, keys, count) if keys < count else np.arange(count)
    return pa.record_batch({"key": pa.array(numbers, pa.int64()), "amount": pa.array(range(count), pa.int64())})


class Sums:
    """A fleet with the function, once for each size of the cache."""

    def __init__(self, fleets: Fleets, executors: int) -> None:
        self._fleets = fleets
        self._executors = executors
        self._fleet: udfleet.LocalFleet | None = None

    @property
    def fleet(self) -> udfleet.LocalFleet:
        if self._fleet is None:
            self._fleet = self._fleets.keep(udfleet.local(executors=self._executors, interpreters=1))
            for name, cache in (("cached_sum", KEYS), ("uncached_sum", 0)):
                config = {"python.fn-execution.bundle.size": BUNDLE, "python.state.cache-size": cache}
                self._fleet.register_function(name, _SUM, config=config, partitions=self._executors)
        return self._fleet

    def run(self, function: str, batches: list[pa.RecordBatch]) -> tuple[float, float]:
        """Seconds that a stream of these bundles takes, and those of its commits among them. The first one is not counted."""
        begun, committing = 0.0, 0.0
        table = self.fleet.from_batches(batches).key_by("key").process(f"{function}(amount)")
        with table.open_stream(f"bench-{next(_numbers)}", commit="manual") as stream:
            for number, bundle in enumerate(stream):
                before = time.perf_counter()
                bundle.commit()
                if number:
                    committing += time.perf_counter() - before
                else:
                    begun = time.perf_counter()
        return time.perf_counter() - begun, committing

    def rate(self) -> float:
        """Rows per second over few keys, commits included."""
        seconds, _ = self.run("cached_sum", [rows(BUNDLE, KEYS)] * (BUNDLES + 1))
        return BUNDLES * BUNDLE / seconds

    def misses(self) -> float:
        """Keys per second of which nothing is in memory."""
        parts = _cut(rows(MISSES, MISSES))
        # Once to make the state, and once to read it.
        seconds, _ = self.run("uncached_sum", [*parts, *parts])
        return (2 * MISSES - BUNDLE) / seconds

    def commit_share(self) -> float:
        """The part of a bundle's time that its commit takes, where bundles take about a second."""
        count = max(1, int(self.rate()) // BUNDLE) * BUNDLE
        seconds, committing = self.run("cached_sum", [rows(BUNDLE, KEYS)] * (2 * count // BUNDLE))
        bundles = 2 * count // BUNDLE - 1
        # Bundles of a second do as much in one commit.
        return committing / bundles / (committing / bundles + 1.0) if seconds else 0.0


def _cut(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    return [batch.slice(start, BUNDLE) for start in range(0, batch.num_rows, BUNDLE)]


def dict_loop() -> float:
    """Rows per second of the same sums over a dict, from and to Arrow, in this process."""
    batch = rows(BUNDLE, KEYS)
    sums: dict[int, int] = {}
    begun = time.perf_counter()
    for _ in range(BUNDLES):
        results = list(_loop(sums, batch))
        pa.record_batch({"key": [key for key, _ in results], "sum": [total for _, total in results]})
    return BUNDLES * BUNDLE / (time.perf_counter() - begun)


def _loop(sums: dict[int, int], batch: pa.RecordBatch) -> Iterator[tuple[int, int]]:
    for key, amount in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
        sums[key] = total = sums.get(key, 0) + amount
        yield key, total


def lines(fleets: Fleets) -> list[Line]:
    """Two fleets, started when they are needed."""
    one, two = Sums(fleets, 1), Sums(fleets, 2)
    many_cores = (os.cpu_count() or 1) >= 4
    return [
        Line(
            "keyed sum of 1,000 keys, commits of 10,000 rows included",
            "a loop over a dict",
            0.3,
            "rows/s",
            lambda: (one.rate(), dict_loop()),
        ),
        Line(
            "keyed state that is not in memory",
            "20,000 keys/s",
            1.0,
            "keys/s",
            lambda: (one.misses(), MISSES_PER_SECOND),
        ),
        Line(
            "commits of keyed state at bundles of a second",
            "all of the time",
            0.15,
            "s",
            lambda: (one.commit_share(), 1.0),
            at_most=True,
        ),
        Line(
            "keyed sum on two executors",
            "one executor",
            1.7 if many_cores else None,
            "rows/s",
            lambda: (two.rate(), one.rate()),
        ),
    ]
