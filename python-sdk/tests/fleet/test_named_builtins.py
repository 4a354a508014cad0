"""Built-in functions by name that are made of others or are Python functions: scalars, aggregates that keep values."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from udfleet import DataTypes, InvalidPlanError, Row, call, col, lit, udf
from udfleet.table.expressions import concat_ws, greatest, least

ROWS = [
    ("a", 1, "x", Decimal("1.50")),
    ("b", 2, "y", None),
    ("a", None, None, Decimal("2.50")),
    ("a", 3, "z", Decimal("1.50")),
    ("a", 1, "x", Decimal("4.00")),
    ("c", None, None, None),
]


@pytest.fixture(scope="module")
def table(fleet):
    fields = [("k", DataTypes.STRING()), ("n", DataTypes.INT()), ("s", DataTypes.STRING()), ("d", "DECIMAL(5, 2)")]
    return fleet.from_elements(ROWS, [DataTypes.FIELD(*field) for field in fields])


def of_groups(table, text, key="k"):
    rows = table.group_by(key).select(f"{key}, {text} as v").to_arrow().to_pylist()
    return {row[key]: row["v"] for row in rows}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FIRST_VALUE(n)", {"a": 1, "b": 2, "c": None}),
        ("last_value(n)", {"a": 1, "b": 2, "c": None}),
        ("last_value(d)", {"a": Decimal("4.00"), "b": None, "c": None}),
        ("first_value(upper(s)) FILTER (WHERE n > 1)", {"a": "Z", "b": "Y", "c": None}),
        ("LISTAGG(s)", {"a": "x,z,x", "b": "y", "c": None}),
        ("listagg(DISTINCT s, ' | ')", {"a": "x | z", "b": "y", "c": None}),
        ("array_agg(n)", {"a": [1, None, 3, 1], "b": [2], "c": [None]}),
        ("array_agg(n) FILTER (WHERE n > 5)", {"a": None, "b": None, "c": None}),
        ("collect(s)", {"a": [("x", 2), ("z", 1)], "b": [("y", 1)], "c": []}),
        ("sum0(n)", {"a": 5, "b": 2, "c": 0}),
        ("SUM0(DISTINCT n) + 1", {"a": 5, "b": 3, "c": 1}),
    ],
)
def test_aggregates_that_keep_values(table, text, expected):
    assert of_groups(table, text) == expected


def test_they_are_methods_too_and_go_with_other_aggregates(table):
    value = col("n")
    made = table.select(
        value.first_value.alias("first"),
        value.last_value.filter(col("k") == "b").alias("last"),
        col("s").list_agg("-").distinct.alias("listed"),
        value.sum0.distinct.alias("total"),
        value.count.alias("count"),
        col("s").collect.alias("counted"),
        value.array_agg.filter(value > 1).alias("many"),
    )
    assert made.to_pylist() == [
        {"first": 1, "last": 2, "listed": "x-y-z", "total": 6, "count": 4, "counted": [("x", 2), ("y", 1), ("z", 1)],
         "many": [2, 3]},
    ]  # fmt: skip
    assert [str(t) for t in made.get_schema().get_field_data_types()] == [
        "INT", "INT", "STRING", "BIGINT", "BIGINT NOT NULL", "MAP<STRING NOT NULL, INT NOT NULL>", "ARRAY<INT>",
    ]  # fmt: skip


def test_they_keep_the_types_of_their_values(fleet):
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
    types = {"t": "TIMESTAMP(6)", "r": "ROW<x INT, y ARRAY<STRING>>", "m": "MAP<STRING NOT NULL, DATE>"}
    row = (moment, Row(x=1, y=["a", None]), {"k": moment.date()})
    table = fleet.from_elements([row], [DataTypes.FIELD(*each) for each in types.items()])
    made = table.select(*(col(name).last_value.alias(name) for name in types))
    assert [str(t) for t in made.get_schema().get_field_data_types()] == list(types.values())
    assert made.to_pylist() == [{"t": moment, "r": {"x": 1, "y": ["a", None]}, "m": [("k", moment.date())]}]


def test_order_is_kept_over_many_batches(fleet):
    batches = [pa.record_batch({"k": [i % 7 for i in range(start, start + 100)], "n": range(start, start + 100)})
               for start in range(0, 3000, 100)]  # fmt: skip
    table = fleet.from_batches(batches)
    assert of_groups(table, "first_value(n)") == {k: k for k in range(7)}
    assert of_groups(table, "array_agg(n)") == {k: list(range(k, 3000, 7)) for k in range(7)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LEFT('hello', 2)", "he"),
        ("right('hello', 2)", "lo"),
        ("instr('hello', 'l')", 3),
        ("locate('l', 'hello', 4)", 4),
        ("overlay('abcdef' PLACING 'XY' FROM 2 FOR 3)", "aXYef"),
        ("log2(8.0)", 3.0),
        ("log(10.0, 1000.0)", math.log(1000) / math.log(10)),
        ("degrees(pi())", 180.0),
        ("to_date('2020-1-5')", datetime.date(2020, 1, 5)),
        ("concat_ws('-', 'a', NULL, '', 'b')", "a--b"),
        ("concat_ws('-', k, 'x')", "a-x"),
        ("concat_ws(', ', CAST(NULL AS STRING))", ""),
        ("concat_ws(CAST(NULL AS STRING), 'a', 'b')", None),
        ("upper(left(concat_ws('+', k, 'bc'), 3))", "A+B"),
    ],
)
def test_scalars(table, text, expected):
    value = table.limit(1).select(f"{text} as v").to_pylist()[0]["v"]
    assert value == pytest.approx(expected) if isinstance(expected, float) else value == expected


def test_scalars_as_objects(table):
    first = table.limit(1)
    made = first.select(
        concat_ws("/", col("k"), None, "z").alias("a"),
        greatest(col("n"), 5, 3).alias("b"),
        least(col("n"), 5).alias("c"),
        lit(7).mod(4).alias("d"),
        lit("hello").substr(2, 3).alias("e"),
        lit("xhix").btrim("x").alias("f"),
    )
    assert made.to_pylist() == [{"a": "a/z", "b": 5, "c": 1, "d": 3, "e": "ell", "f": "hi"}]


def test_registered_functions_take_precedence(fleet, table):
    fleet.register_function("right", udf(lambda s, n: f"{s}{n}", ["STRING", "INT"], "STRING"))
    try:
        assert table.limit(1).select("right(k, 2) as v").to_pylist() == [{"v": "a2"}]
        assert table.limit(1).select(call("RIGHT", col("k"), 1).alias("v")).to_pylist() == [{"v": "a"}]
    finally:
        fleet.drop_function("right")


@pytest.mark.parametrize(
    "text",
    [
        "left(k)",
        "first_value(n, 1)",
        "first_value(*)",
        "listagg(n)",
        "collect(array_agg(n))",
        "left(k, 1) FILTER (WHERE n > 1)",
    ],
)
def test_what_they_do_not_take(table, text):
    with pytest.raises(InvalidPlanError):
        table.select(f"{text} as v").to_pylist()


def test_values_that_are_counted_have_to_be_plain(table):
    nested = table.group_by("k").select("k, array_agg(n) as many")
    with pytest.raises(InvalidPlanError):
        nested.select("collect(many) as v").to_pylist()
