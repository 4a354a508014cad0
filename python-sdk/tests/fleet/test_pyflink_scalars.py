"""PyFlink's cases of scalar functions: their forms, job parameters, open, constants, rows, kinds in one chain."""

from __future__ import annotations

import functools

from fleet_support import BIGINT
from pyflink_cases import T1, arrow_minus_one, arrow_plus, bigint, every_kind, tuples

import udfleet
from udfleet import Row, ScalarFunction, call, col, lit, udf


class SubtractOne(ScalarFunction):
    def eval(self, i):
        return i - 1


class ArrowSubtractOne(ScalarFunction):
    def eval(self, i):
        return arrow_minus_one(i)


class CallablePlus:
    def __call__(self, col):
        return col + 1


class ArrowCallablePlus:
    def __call__(self, col):
        return arrow_plus(col)


def partial_func(col, param):
    return col + param


@every_kind
def test_1_scalars_of_every_form(fleet, kind):
    arrow = kind == "arrow"
    add_one = bigint(lambda i: i + 1, kind, lambda i: arrow_plus(i))
    subtract_one = bigint(ArrowSubtractOne() if arrow else SubtractOne(), kind)
    add = bigint(lambda i, j: i + j, kind, lambda i, j: arrow_plus(i, j), inputs=2)
    callable_plus = bigint(ArrowCallablePlus() if arrow else CallablePlus(), kind)
    partial_plus = bigint(
        functools.partial(arrow_plus, b=1) if arrow else functools.partial(partial_func, param=1), kind
    )
    a, b, c = col("a"), col("b"), col("c")
    table = (
        fleet.from_elements(T1, ["a", "b", "c"])
        .where(add_one(b) <= 3)
        .select(add_one(a), subtract_one(b), add(a, c), callable_plus(a), partial_plus(a), a)
    )
    assert tuples(table) == [(2, 1, 4, 2, 2, 1), (4, 0, 12, 4, 4, 3)]


class SubtractParameter(ScalarFunction):
    def open(self, function_context):
        self.value = int(function_context.get_job_parameter("subtract_value", "1"))

    def eval(self, i):
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.subtract(i, self.value) if isinstance(i, pa.Array) else i - self.value


class SubtractPlain(SubtractParameter):
    def eval(self, i):
        return i - self.value


@every_kind
def test_2_job_parameters(fleet, kind):
    function = bigint(SubtractParameter() if kind == "arrow" else SubtractPlain(), kind)
    with udfleet.connect(fleet.address, fleet.token, job_parameters={"subtract_value": 2}) as client:
        table = client.from_elements(T1, ["a", "b", "c"]).where("b + 1 <= 3").select(function(col("b")))
        assert tuples(table) == [(0,), (-1,)]


@every_kind
def test_6_constants_only(fleet, kind):
    add = bigint(lambda i, j: i + j, kind, lambda i, j: arrow_plus(i, j), inputs=2)
    assert tuples(fleet.from_elements(T1, "a, b, c").select(add(lit(1), 2))) == [(3,)] * 3


class Opened(ScalarFunction):
    def open(self, function_context):
        self.subtract = 1

    def eval(self, i):
        return i - self.subtract


class ArrowOpened(Opened):
    def eval(self, i):
        return arrow_plus(i, -self.subtract)


@every_kind
def test_10_open_runs_before_the_first_row(fleet, kind):
    function = bigint(ArrowOpened() if kind == "arrow" else Opened(), kind)
    table = fleet.from_elements([(1, 2), (2, 5), (3, 4)], ["a", "b"]).select(col("a"), function(col("b")))
    assert tuples(table) == [(1, 1), (2, 4), (3, 3)]


def test_11_functions_without_arguments(fleet):
    one = udf(lambda: 1, [], BIGINT, deterministic=True)
    two = udf(lambda: 2, [], BIGINT, deterministic=False)
    assert tuples(fleet.from_elements(T1, "a, b, c").select(call(one), call(two))) == [(1, 2)] * 3


def test_27_map_over_whole_rows(fleet):
    inc = udf(lambda row: Row(row.b + 1), result_type="ROW<b BIGINT>")
    table = fleet.from_elements([(42, "x"), (5, "y")], ["b", "s"]).map(inc)
    assert table.to_pylist() == [{"b": 43}, {"b": 6}]
    renamed = udf(lambda row: Row(row[0], row.as_dict()["s"]), result_type="ROW<x BIGINT, y STRING>")
    table = fleet.from_elements([(42, "x")], ["b", "s"]).map(renamed.alias("u", "v"))
    assert table.to_pylist() == [{"u": 42, "v": "x"}]
    frame = udf(lambda df: df.b + df.c, result_type=BIGINT, func_type="pandas")
    assert tuples(fleet.from_elements([(1, 2), (3, 4)], ["b", "c"]).map(frame)) == [(3,), (7,)]


def test_29_kinds_are_mixed_in_one_chain(fleet):
    plus = bigint(lambda i: i + 1, "pandas")
    minus = bigint(lambda i: i - 1, "general")
    add = bigint(lambda i, j: arrow_plus(i, j), "arrow", inputs=2)
    a, b, c = col("a"), col("b"), col("c")
    table = (
        fleet.from_elements([(1, 2, 3), (2, 5, 6), (3, 1, 14)], ["a", "b", "c"])
        .where(plus(b) <= 3)
        .select(a, b + 1, add(a + 1, minus(c)) + 2, add(plus(a), 1))
    )
    assert tuples(table) == [(1, 3, 6, 3), (3, 2, 19, 5)]
