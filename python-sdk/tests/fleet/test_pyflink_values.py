"""PyFlink's cases of values: literals, every type unchanged, what pandas and arrow functions are given and may return."""

from __future__ import annotations

import datetime
import functools
from decimal import Decimal

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, failure_of
from pyflink_cases import KINDS, bigint, tuples

import udfleet
from udfleet import DataTypes, col, lit, udf


def test_8_literals_arrive_as_python_values(fleet):
    given = [
        datetime.date(2018, 3, 11),
        datetime.time(3, 0, 0, 123000),
        datetime.datetime(2018, 3, 11, 3, 0, 0, 123000),
        Decimal("1000000000000000000.05"),
        True,
        b"x",
        "text",
        1.5,
    ]
    shown = udf(lambda *values: repr(list(values)), None, STRING)
    table = fleet.from_elements([(1,)], ["a"]).select(shown(*map(lit, given)))
    assert tuples(table) == [(repr(given),)]


IDENTITIES = [
    (12, "BIGINT", None, KINDS),
    (13, "SMALLINT", 32767, KINDS),
    (13, "INT", -2147483648, KINDS),
    (14, "BYTES", b"flink", KINDS),
    (15, "TIME(3)", datetime.time(12, 0, 0, 123000), KINDS),
    (16, "TIMESTAMP(3)", datetime.datetime(2018, 3, 11, 3, 0, 0, 123000), KINDS),
    (16, "TIMESTAMP(6)", datetime.datetime(2245, 3, 11, 3, 0, 0, 123456), KINDS),
    (17, "ARRAY<STRING>", ["hello", "中文", None], ["general", "arrow"]),
    (18, "MAP<BIGINT, STRING>", [(1, "flink"), (2, "pyflink")], ["general", "arrow"]),
    (19, "DECIMAL(38, 18)", Decimal("1000000000000000000.050000000000000000"), KINDS),
    (20, "FLOAT", 1.5, KINDS),
    (21, "BOOLEAN", False, KINDS),
]


@pytest.mark.parametrize(
    ("data_type", "value", "kind"),
    [(data_type, value, kind) for _, data_type, value, kinds in IDENTITIES for kind in kinds],
)
def test_12_to_21_values_pass_unchanged(fleet, data_type, value, kind):
    identity = udf(lambda value: value, data_type, data_type, func_type=kind)
    element = dict(value) if data_type.startswith("MAP") else value
    table = fleet.from_elements([(element,)], f"ROW<v {data_type}>").select(identity(col("v")).alias("v"))
    assert table.to_arrow().to_pylist() == [{"v": value}]


def test_30_a_pandas_result_of_another_length(fleet):
    shorter = bigint(lambda i: i[1:], "pandas", name="shorter")
    error = failure_of(udfleet.ResultTypeError, fleet.from_elements([1, 2], "a").select(shorter(col("a"))).to_arrow)
    assert "1" in error.message and "2" in error.message and "shorter" in error.function


def test_32_dtypes_of_pandas_columns(fleet):
    wanted = {
        "TINYINT": "int8", "SMALLINT": "int16", "INT": "int32", "BIGINT": "int64", "FLOAT": "float32",
        "DOUBLE": "float64", "BOOLEAN": "bool",
    }  # fmt: skip
    values = [1, 1, 1, 1, 1.0, 1.0, True]

    def dtypes(*columns):
        import pandas

        return pandas.Series([",".join(str(column.dtype) for column in columns)] * len(columns[0]))

    names = [f"c{index}" for index in range(len(wanted))]
    schema = DataTypes.ROW([DataTypes.FIELD(name, DataTypes.parse(t)) for name, t in zip(names, wanted)])
    shown = udf(dtypes, list(wanted), STRING, func_type="pandas")
    table = fleet.from_elements([tuple(values)], schema).select(shown(*map(col, names)))
    assert tuples(table) == [(",".join(wanted.values()),)]


def test_63_arrow_columns_and_literals(fleet):
    def add(*columns):
        import pyarrow as pa
        import pyarrow.compute as pc

        total = functools.reduce(pc.add, columns)
        return pa.chunked_array([total.slice(0, 1), total.slice(1)])

    function = udf(add, [BIGINT] * 3, BIGINT, func_type="arrow")
    table = fleet.from_arrow(pa.table({"a": pa.array([1, None, 3]), "b": [4, 5, 6]}))
    assert [row[0] for row in tuples(table.select(function(lit(10), col("a"), col("b"))))] == [15, None, 19]
