"""PyFlink's cases of aggregates and table aggregates: groups, DISTINCT, FILTER, no keys."""

from __future__ import annotations

import pytest
from fleet_support import BIGINT, STRING, Sum
from pyflink_cases import A1, KINDS, aggregate, every_kind, tuples

from udfleet import AggregateFunction, Row, TableAggregateFunction, col, udaf, udtaf


class MergedSum(Sum):
    def accumulate(self, accumulator, *args):
        if args[0] is not None:
            accumulator[0] += args[0]

    def merge(self, accumulator, accumulators):
        for other in accumulators:
            accumulator[0] += other[0]


class Count(MergedSum):
    def accumulate(self, accumulator, *args):
        accumulator[0] += 1


def arrow_sum(values):
    import pyarrow.compute as pc

    return pc.sum(values).as_py()


@pytest.mark.parametrize("kind", [*KINDS, "unmerged"])
def test_40_count_and_sum_by_group(fleet, kind):
    general = Sum() if kind == "unmerged" else MergedSum()
    kind = "general" if kind == "unmerged" else kind
    total = aggregate(general, lambda values: values.sum(), arrow_sum, kind)
    count = aggregate(Count(), lambda values: len(values), lambda values: len(values), kind)
    table = fleet.from_elements(A1, ["a", "b", "c"])
    a, b = col("a"), col("b")
    first = table.group_by(a).select(a, total(b).alias("s"), count(b).alias("n"))
    assert sorted(tuples(first)) == [(1, 15, 3), (2, 4, 2), (3, 2, 1)]
    second = first.group_by("n").select(col("n"), total(col("s")).alias("s"))
    assert sorted(tuples(second)) == [(1, 2), (2, 4), (3, 15)]
    assert sorted(tuples(table.group_by("a % 2 as odd").select(col("odd"), total(b + 1)))) == [(0, 6), (1, 21)]


def test_43_distinct_and_filter(fleet):
    count = udaf(Count(), [STRING], BIGINT)
    table = fleet.from_elements([("hello", "a"), ("hello", "b"), ("hello", "a"), ("hi", "x")], ["k", "v"])
    v = col("v")
    grouped = table.group_by("k").select(
        col("k"), count(v).distinct.alias("d"), count(v), count(v).filter(v != "a").alias("f")
    )
    assert sorted(tuples(grouped)) == [("hello", 2, 3, 1), ("hi", 1, 1, 1)]


class Top2(TableAggregateFunction):
    def create_accumulator(self):
        return [None, None]

    def accumulate(self, accumulator, row):
        if row[0] is not None:
            if accumulator[0] is None or row[0] > accumulator[0]:
                accumulator[1] = accumulator[0]
                accumulator[0] = row[0]
            elif accumulator[1] is None or row[0] > accumulator[1]:
                accumulator[1] = row[0]

    def emit_value(self, accumulator):
        yield Row(accumulator[0])
        if accumulator[1] is not None:
            yield Row(accumulator[1])


class Top2Values(Top2):
    def accumulate(self, accumulator, value):
        super().accumulate(accumulator, [value])


def test_46_table_aggregates(fleet):
    rows = [(1, "Hi"), (3, "Hi"), (7, "Hi2"), (8, "Hi"), (5, "Hi2")]
    table = fleet.from_elements(rows, ["a", "b"])
    top = udtaf(Top2Values(), [BIGINT], BIGINT)
    grouped = table.group_by("b").flat_aggregate(top(col("a")).alias("x")).select("b, x")
    assert sorted(tuples(grouped)) == [("Hi", 3), ("Hi", 8), ("Hi2", 5), ("Hi2", 7)]
    whole = table.select("a").flat_aggregate(udtaf(Top2(), result_type=BIGINT).alias("x"))
    assert tuples(whole) == [(8,), (7,)]


class Min(AggregateFunction):
    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, value):
        accumulator[:] = [min([*accumulator, value])]

    def get_value(self, accumulator):
        return accumulator[0] if accumulator else None


def arrow_min(values):
    import pyarrow.compute as pc

    return pc.min(values).as_py()


@every_kind
def test_52_aggregates_without_keys(fleet, kind):
    least = aggregate(Min(), lambda values: values.min() if len(values) else None, arrow_min, kind)
    a, b, c = col("a"), col("b"), col("c")
    table = fleet.from_elements(A1, "a, b, c")
    assert tuples(table.select(least(a) + least(b) + least(c))) == [(5,)]
    assert tuples(table.where("a > 100").select(least(a).alias("m"))) == [(None,)]
    fleet.register_function(f"case52_{kind}", least)
    assert fleet.call(f"case52_{kind}", [3, 1, 2]).to_pylist() == [1]


class MaxAdd(AggregateFunction):
    def open(self, function_context):
        self.plus = 0

    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, *args):
        accumulator.append(sum(int(arg.max()) for arg in args) + self.plus)

    def get_value(self, accumulator):
        return accumulator[0]


def test_53_pandas_aggregates_as_classes(fleet):
    function = udaf(MaxAdd(), [BIGINT, BIGINT], BIGINT, func_type="pandas")
    grouped = fleet.from_elements(A1, "a, b, c").group_by("a").select(col("a"), function(col("b"), col("c")))
    assert sorted(tuples(grouped)) == [(1, 14), (2, 7), (3, 5)]
