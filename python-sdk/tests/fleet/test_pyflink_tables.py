"""PyFlink's cases of table functions: lateral joins, what they may give, flat_map."""

from __future__ import annotations

import pytest
from fleet_support import BIGINT
from pyflink_cases import tuples

from udfleet import DataTypes, Row, TableFunction, col, udtf


class MultiEmit(TableFunction):
    def open(self, function_context):
        self.counter = function_context.get_metric_group().counter("counter")

    def eval(self, x, y):
        self.counter.inc(y)
        for i in range(y):
            yield x, i


multi_emit = udtf(MultiEmit(), [BIGINT, BIGINT], [BIGINT, BIGINT])


def test_35_lateral_joins(fleet):
    table = fleet.from_elements([(1, 1, 3), (2, 1, 6), (3, 2, 9)], ["a", "b", "c"])
    for join in ("join_lateral", "left_outer_join_lateral"):
        joined = getattr(table, join)(multi_emit(col("a"), col("b")).alias("x", "y"))
        assert tuples(joined.select("a, x, y")) == [(1, 1, 0), (2, 2, 0), (3, 3, 0), (3, 3, 1)]
    nothing = udtf(lambda x, y: None, [BIGINT, BIGINT], [BIGINT, BIGINT])
    row = col("a"), col("b")
    assert tuples(table.join_lateral(nothing(*row).alias("x", "y"))) == []
    assert tuples(table.left_outer_join_lateral(nothing(*row).alias("x", "y")).select("a, x, y")) == [
        (1, None, None), (2, None, None), (3, None, None),
    ]  # fmt: skip


RESULTS = [
    ("None", lambda x: None, []),
    ("a list", lambda x: [x, x + 1], [1, 2]),
    ("a range", lambda x: range(x), [0]),
    ("a generator", lambda x: (i for i in (x, x)), [1, 1]),
    ("a tuple is one row", lambda x: (x,), [1]),
    ("a Row is one row", lambda x: Row(x), [1]),
    ("a value is one row", lambda x: x, [1]),
]


@pytest.mark.parametrize(("f", "expected"), [case[1:] for case in RESULTS], ids=[case[0] for case in RESULTS])
def test_36_what_table_functions_give(fleet, f, expected):
    table = fleet.from_elements([1], "a").join_lateral(udtf(f, BIGINT, BIGINT)(col("a")).alias("x"))
    assert [row["x"] for row in table.to_pylist()] == expected


def test_37_a_registered_table_function(fleet):
    fleet.register_function("case37_identity", udtf(lambda i: i, BIGINT, BIGINT))
    table = fleet.from_elements([1], "a").join_lateral("case37_identity(a) as (x)")
    assert tuples(table) == [(1, 1)]
    assert fleet.call("case37_identity", [7]).to_pylist() == [{"row": 0, "result": 7}]


def test_38_flat_map(fleet):
    @udtf(result_types=[DataTypes.INT(), DataTypes.INT()])
    def split(row):
        for s in row[1].split(","):
            yield row[0], int(s)

    table = fleet.from_elements([(1, "2,3"), (2, "1"), (1, "5,6,7")], "ROW<a INT, b STRING>").flat_map(split)
    assert tuples(table) == [(1, 2), (1, 3), (2, 1), (1, 5), (1, 6), (1, 7)]
    again = (
        fleet.from_elements([(1, "2,3")], "ROW<a INT, b STRING>")
        .flat_map(split.alias("x", "y"))
        .flat_map(udtf(lambda row: [Row(row.x, row.y)] * row.y, result_types="ROW<x INT, y INT>"))
    )
    assert tuples(again) == [(1, 2)] * 2 + [(1, 3)] * 3
