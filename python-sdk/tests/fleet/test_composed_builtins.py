"""Methods that are made of other built-in functions, on a fleet; and the whole row in pandas' own form."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import pytest
from fleet_support import BIGINT, STRING

from udfleet import DataTypes, ResultTypeError, Row, coalesce, col, lit, udf
from udfleet.table.expressions import e, log, negative, pi


@pytest.fixture(scope="module")
def table(fleet):
    rows = [("hello", 2, 0.5), ("", -1, 8.0), (None, 0, None), ("Straße", None, 1.0)]
    return fleet.from_elements(rows, ["s", "n", "x"])


def values(table, expression):
    return table.select(expression.alias("v")).to_arrow().column("v").to_pylist()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (col("s").left(3), ["hel", "", None, "Str"]),
        (col("s").left(col("n")), ["he", "", None, None]),
        (col("s").right(3), ["llo", "", None, "aße"]),
        (col("s").right(0), ["", "", None, ""]),
        (col("s").right(col("n")), ["lo", "", None, None]),
        (col("s").right(50), ["hello", "", None, "Straße"]),
        (col("s").instr("l"), [3, 0, None, 0]),
        (lit("l").locate(col("s")), [3, 0, None, 0]),
        (lit("l").locate(col("s"), 4), [4, 0, None, 0]),
        (col("s").overlay("XY", 2), ["hXYlo", "", None, "SXYaße"]),
        (col("s").overlay("XY", 2, 0), ["hXYello", "", None, "SXYtraße"]),
        (col("s").overlay("XY", 0), ["hello", "", None, "Straße"]),
        (lit("  x ").trim_leading(), ["x "] * 4),
        (lit("  x ").trim_trailing(), ["  x"] * 4),
        (lit("abca").trim_leading("ab"), ["ca"] * 4),
        (lit("2020-1-5").to_date, [datetime.date(2020, 1, 5)] * 4),
        (lit("2:05:00").to_time, [datetime.time(2, 5)] * 4),
        (lit("2020-01-05 02:05:00").to_timestamp, [datetime.datetime(2020, 1, 5, 2, 5)] * 4),
        (negative(col("n")), [-2, 1, 0, None]),
    ],
)
def test_texts_and_times(table, expression, expected):
    assert values(table, expression) == expected


@pytest.mark.parametrize(
    ("expression", "function"),
    [
        (col("x").log2, math.log2),
        (col("x").log(10), math.log10),
        (log(col("x")), math.log),
        (col("x").cot, lambda x: 1 / math.tan(x)),
        (col("x").degrees, math.degrees),
        (col("x").radians, math.radians),
        (col("x") * pi() + e(), lambda x: x * math.pi + math.e),
    ],
)
def test_numbers(table, expression, function):
    found = values(table, expression)
    assert found == [x if x is None else pytest.approx(function(x), rel=1e-12) for x in (0.5, 8.0, None, 1.0)]


def test_what_differs_at_each_call_is_evaluated_once(fleet):
    @udf(result_type=BIGINT, deterministic=False)
    def at_times():
        import random

        return random.choice([None, 1, 2])

    table = fleet.from_elements([(n,) for n in range(500)], ["n"])
    # Evaluated twice, a value that was found not to be null would be null, and one of neither kind would be found.
    made = table.select(coalesce(at_times(), 0).alias("a"), at_times().in_(1, 2).alias("b")).to_pylist()
    assert {row["a"] for row in made} == {0, 1, 2} and {row["b"] for row in made} == {None, True}
    assert set(table.where(at_times().between(1, 2)).select(col("n")).to_pylist()[0]) == {"n"}
    half = table.add_columns(at_times().alias("v")).where(at_times().if_null(0) > 0).select("v").to_pylist()
    assert 200 < len(half) < 460 and {row["v"] for row in half} == {None, 1, 2}


def test_a_sum_without_values_is_zero(table):
    grouped = table.group_by(col("s")).select(col("s"), col("n").sum0.alias("n"), col("x").sum0.alias("x"))
    found = {row["s"]: (row["n"], row["x"]) for row in grouped.to_pylist()}
    assert found == {"hello": (2, 0.5), "": (-1, 8.0), None: (0, 0.0), "Straße": (0, 1.0)}


def test_decimals_without_digits_have_those_of_a_number_that_is_written_there(table):
    made = table.select("CAST(1.05 AS DECIMAL) as a, CAST(n AS DECIMAL) as b").limit(1)
    assert made.to_pylist() == [{"a": Decimal("1.05"), "b": Decimal(2)}]
    assert made.to_arrow().schema.field("a").type.scale == 2


def test_pandas_functions_get_the_fields_of_nested_rows(fleet):
    inner = DataTypes.ROW([DataTypes.FIELD("c", BIGINT), DataTypes.FIELD("d", BIGINT)])
    row_type = DataTypes.ROW([DataTypes.FIELD("a", BIGINT), DataTypes.FIELD("b", inner)])
    nested = fleet.from_elements([(1, Row(2, 3)), (2, None)], row_type)
    added = udf(lambda frame: frame.a + frame.c + frame.d, result_type=BIGINT, func_type="pandas")
    assert [row["_c0"] for row in nested.map(added).to_pylist()] == [6, None]
    columns = udf(
        lambda frame: frame.iloc[:, 0].map(lambda _: ",".join(frame.columns)), result_type=STRING, func_type="pandas"
    )
    assert nested.map(columns).to_pylist()[0] == {"_c0": "a,c,d"}
    assert nested.alias("c", "b").map(columns).to_pylist()[0] == {"_c0": "c,b"}, "no two columns have one name"


def test_a_frame_with_a_column_without_a_name_is_a_row_by_position(fleet):
    def frame_of(*columns):
        def made(x):
            import pandas as pd

            return pd.concat([x.rename(columns[0]), (x * 2).rename(columns[1])], axis=1)

        fields = [DataTypes.FIELD("c", BIGINT), DataTypes.FIELD("d", BIGINT)]
        return udf(made, result_type=DataTypes.ROW(fields), func_type="pandas", name="made")

    def called(*columns):
        return fleet.from_elements([(1,)], ["a"]).map(frame_of(*columns)(col("a"))).to_pylist()

    by_position = [{"c": 1, "d": 2}]
    # What pandas gives a number is a computed Series beside named ones.
    assert called("a", 0) == called(0, "z") == called(0, 1) == called(5, 7) == called("c", "d") == by_position
    assert called("d", "c") == [{"c": 2, "d": 1}]
    for refused in [("c", 0), (0, "c"), ("a", "b"), ("c", "D")]:
        with pytest.raises(ResultTypeError) as error:
            called(*refused)
        assert "name the columns" in error.value.hint
