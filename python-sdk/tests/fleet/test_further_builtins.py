"""TRY_CAST, percentiles, formats, JSON constructors, flattened rows and overlapping times, in text and as methods, on a fleet."""

from __future__ import annotations

import pytest

from udfleet import DataTypes, InvalidPlanError, Row, col, lit
from udfleet.table.expressions import (
    JsonOnNull,
    array,
    coalesce,
    json,
    json_array,
    json_object,
    json_string,
    local_timestamp,
    temporal_overlaps,
)


@pytest.fixture(scope="module")
def table(fleet):
    inner = DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT()), DataTypes.FIELD("b", DataTypes.STRING())])
    types = {"s": DataTypes.STRING(), "n": DataTypes.BIGINT(), "r": inner}
    rows = [("17", 1, Row(1, "x")), ("x", None, Row(2, None)), (None, 3, None), ("1e3", 4, Row(3, "y"))]
    return fleet.from_elements(rows, [DataTypes.FIELD(*each) for each in types.items()])


def values(table, item):
    return table.select(item.alias("v") if not isinstance(item, str) else f"{item} as v").to_arrow()["v"].to_pylist()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("TRY_CAST(s AS INT)", [17, None, None, None]),
        (col("s").try_cast("DOUBLE"), [17.0, None, None, 1000.0]),
        (coalesce(col("s").try_cast("INT"), 0), [17, 0, 0, 0]),
        ("TRY_CAST(n AS TINYINT) + 1", [2, None, 4, 5]),
        ("printf('%03d|%s', n, s)", ["001|17", "null|x", "003|null", "004|1e3"]),
        (lit("%s-%s").printf(col("s"), 7), ["17-7", "x-7", "null-7", "1e3-7"]),
        (json_object(JsonOnNull.ABSENT, "k", col("n"), "r", col("r")),
         ['{"k":1,"r":{"a":1,"b":"x"}}', '{"r":{"a":2,"b":null}}', '{"k":3}', '{"k":4,"r":{"a":3,"b":"y"}}']),
        ("json_object('null', 'o', json_object('null', 's', s), 'j', json('[1]'), 'n', n)",
         ['{"o":{"s":"17"},"j":[1],"n":1}', '{"o":{"s":"x"},"j":[1],"n":null}', '{"o":{"s":null},"j":[1],"n":3}',
          '{"o":{"s":"1e3"},"j":[1],"n":4}']),
        (json_array(JsonOnNull.NULL, col("n"), json_array(JsonOnNull.ABSENT, col("s"))),
         ['[1,["17"]]', '[null,["x"]]', "[3,[]]", '[4,["1e3"]]']),
        (json_array(), ["[]"] * 4),
        (json(lit('{"a": 1}')), ['{"a": 1}'] * 4),
        (json_string(col("s")), ['"17"', '"x"', None, '"1e3"']),
        (temporal_overlaps(lit("2:55:00").to_time, lit(1).hours, lit("3:30:00").to_time, lit(2).hours), [True] * 4),
        (lit("127.1").inet_aton().inet_ntoa(), ["127.0.0.1"] * 4),
        (col("s").encode("UTF-8").is_valid_utf8, [True, True, None, True]),
        (local_timestamp().is_not_null, [True] * 4),
    ],
    ids=str,
)  # fmt: skip
def test_values(table, item, expected):
    assert values(table, item) == expected


def test_percentiles(table):
    made = table.select(
        col("n").percentile(0.5).alias("a"),
        col("n").percentile(array(0.0, 1.0)).alias("b"),
        col("n").percentile(0.5, col("n")).alias("c"),
        "percentile(n, 0.25) as d",
        col("n").percentile(0.5).filter(col("n") > 9).alias("e"),
    )  # fmt: skip
    assert made.to_pylist() == [{"a": 3.0, "b": [1.0, 4.0], "c": 3.5, "d": 2.0, "e": None}]


def test_rows_are_flattened(table):
    assert table.select(col("n"), col("r").flatten).limit(1).to_pylist() == [{"n": 1, "r$a": 1, "r$b": "x"}]
    assert table.select(col("r").flatten.alias("x", "y")).to_pylist()[2] == {"x": None, "y": None}
    with pytest.raises(InvalidPlanError):
        table.select(col("n").flatten).to_arrow()


@pytest.mark.parametrize(
    "item",
    ["json_object('k', n)", "json_object('null', 'k')", "json_array(n)", "percentile(n)", "TRY_CAST(r AS INT)",
     temporal_overlaps(col("n"), lit(1).hours, col("n"), lit(1).hours), "printf()"],
    ids=str,
)  # fmt: skip
def test_what_no_function_takes_is_refused(table, item):
    with pytest.raises(InvalidPlanError):
        values(table, item)
