"""PyFlink's ways of saying things about tables, on a fleet: attributes, methods of expressions, sets of rows, and function
objects without a declaration."""

from __future__ import annotations

import random

from fleet_support import BIGINT, STRING, Sum

from udfleet import DataTypes, FunctionContext, Row, ScalarFunction, call, coalesce, col, concat, udf, udtf


class Scaled(ScalarFunction):
    def open(self, function_context: FunctionContext) -> None:
        self.factor = int(function_context.get_job_parameter("factor", "3"))

    def eval(self, n: int) -> int:
        return n * self.factor


class TypedSum(Sum):
    def get_result_type(self):
        return BIGINT


def test_what_is_not_deterministic_runs_for_each_row(fleet):
    roll = udf(lambda *_: random.random(), result_type=DataTypes.DOUBLE(), deterministic=False, name="roll")
    table = fleet.from_elements([(n,) for n in range(100)], ["n"])
    rolled = table.select(roll().alias("a"), roll(1, 2).alias("b"), (roll() + 1).alias("c")).to_arrow()
    assert [len(set(rolled[name].to_pylist())) for name in "abc"] == [100, 100, 100]
    assert min(rolled["c"].to_pylist()) >= 1


def test_function_objects_are_registered_by_what_their_class_says(fleet):
    table = fleet.from_elements([(1, 5), (1, 6), (2, 7)], "ROW<a BIGINT, b BIGINT>")
    fleet.register_function("scaled_object", Scaled())
    fleet.register_function("sum_object", TypedSum())
    assert [row["x"] for row in table.select("scaled_object(b) as x").to_pylist()] == [15, 18, 21]
    grouped = table.group_by(table.a).select(table.a, call("sum_object", col("b")).alias("s")).to_pylist()
    assert sorted(row["s"] for row in grouped) == [7, 11]


def test_sets_of_rows(fleet):
    left = fleet.from_elements([(1, "x"), (1, "x"), (None, None), (2, None)], "ROW<a BIGINT, s STRING>")
    right = fleet.from_elements([(None, None), (2, None), (3, "z")], "ROW<b BIGINT, t STRING>")
    assert left.minus(right).to_pylist() == [{"a": 1, "s": "x"}]
    both = left.intersect(right).to_pylist()
    assert sorted(both, key=str) == [{"a": 2, "s": None}, {"a": None, "s": None}]
    assert left.minus(left).to_pylist() == []


def test_methods_of_expressions(fleet):
    rows = [(1, "Ab", Row(2, "q")), (2, None, Row(3, None)), (None, "c", None)]
    table = fleet.from_elements(rows, "ROW<a BIGINT, s STRING, r ROW<n BIGINT, t STRING>>")
    made = table.select(
        table.s.upper_case.alias("up"),
        concat(table.s.reverse, "!").alias("back"),
        table.a.in_(2, 3).is_true.alias("listed"),
        coalesce(table.s, "none").char_length.alias("length"),
        col("r").get(0).alias("first"),
        table.a.not_between(1, 1).alias("outside"),
    )
    assert [tuple(row.values()) for row in made.to_pylist()] == [
        ("AB", "bA!", False, 2, 2, False),
        (None, None, True, 4, 3, True),
        ("C", "c!", False, 1, None, None),
    ]
    assert made.get_schema().get_field_data_types()[:2] == [STRING, STRING]
    counted = table.select(table.a.sum.alias("s"), table.s.count.alias("n"), table.s.max.filter(table.a > 1).alias("m"))
    assert counted.to_pylist() == [{"s": 3, "n": 2, "m": None}]


def test_a_lateral_join_keeps_the_pairs_for_which_it_is_true(fleet):
    letters = udtf(lambda text: list(text), STRING, STRING, name="letters")
    table = fleet.from_elements([("ab",), ("bc",)], ["s"])
    joined = table.join_lateral(letters(table.s).alias("w"), col("w") == "b")
    assert joined.to_pylist() == [{"s": "ab", "w": "b"}, {"s": "bc", "w": "b"}]
    outer = table.left_outer_join_lateral(letters(table.s).alias("w"), "TRUE")
    assert len(outer.to_pylist()) == 4
