"""Columns in other units, scales and layouts than declared: what fits converts, what would change is refused."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

import udfleet
from udfleet import DataTypes, udf

MONTHS = DataTypes.INTERVAL(DataTypes.YEAR(), DataTypes.MONTH())
SECONDS = DataTypes.INTERVAL(DataTypes.DAY(), DataTypes.SECOND())


def _call(fleet: udfleet.Fleet, data_type: object, column: pa.Array) -> list[str]:
    """By `stream`, which sends columns as they are."""
    fleet.register_function("as_text", udf(lambda value: str(value), [data_type], DataTypes.STRING()))
    try:
        (result,) = fleet.stream("as_text", [pa.record_batch([column], ["x"])])
        return result.column(0).to_pylist()
    finally:
        fleet.drop_function("as_text")


@pytest.mark.parametrize(
    ("data_type", "column", "expected"),
    [
        (DataTypes.TIMESTAMP(3), pa.array([1_000_000], pa.timestamp("ns")), "1970-01-01 00:00:00.001000"),
        (DataTypes.TIMESTAMP_LTZ(6), pa.array([0], pa.timestamp("us", "Asia/Tokyo")), "1970-01-01 00:00:00+00:00"),
        (DataTypes.TIME(0), pa.array([1_000_000], pa.time64("us")), "00:00:01"),
        (DataTypes.DECIMAL(10, 2), pa.array([Decimal("1.2500")], pa.decimal128(10, 4)), "1.25"),
        (SECONDS, pa.array([2000], pa.duration("ns")), "0:00:00.000002"),
        (MONTHS, pa.array([(14, 0, 0)], pa.month_day_nano_interval()), "14"),
        (DataTypes.ARRAY(DataTypes.TIMESTAMP(0)), pa.array([[1000]], pa.list_(pa.timestamp("ms"))), None),
        (DataTypes.DECIMAL(10, 2), pa.nulls(1), "None"),
        (DataTypes.CHAR(3), pa.array(["abc"], pa.large_string()), "abc"),
    ],
    ids=str,
)
def test_what_fits_converts(fleet, data_type, column, expected):
    assert _call(fleet, data_type, column) == [expected or "[datetime.datetime(1970, 1, 1, 0, 0, 1)]"]


@pytest.mark.parametrize(
    ("data_type", "column"),
    [
        (DataTypes.TIMESTAMP(3), pa.array([0, 1_999_999], pa.timestamp("ns"))),
        (DataTypes.TIME(0), pa.array([0, 1_500_000], pa.time64("us"))),
        (DataTypes.DECIMAL(10, 2), pa.array([Decimal("1.25"), Decimal("1.255")], pa.decimal128(10, 4))),
        (SECONDS, pa.array([0, 1999], pa.duration("ns"))),
        (MONTHS, pa.array([(1, 0, 0), (1, 5, 7)], pa.month_day_nano_interval())),
        (DataTypes.ARRAY(DataTypes.TIMESTAMP(0)), pa.array([[0], [1001]], pa.list_(pa.timestamp("ms")))),
        (DataTypes.CHAR(3), pa.array(["abc", "abcd"])),
        (DataTypes.VARCHAR(3), pa.array(["ab", "abcd"], pa.string_view())),
        (DataTypes.VARBINARY(3), pa.array([b"ab", b"abcd"])),
        (DataTypes.BIGINT().not_null(), pa.array([1, None])),
    ],
    ids=str,
)
def test_what_would_change_is_refused_with_its_row(fleet, data_type, column):
    with pytest.raises(udfleet.InvalidInputError, match=r"column 0 holds .* does not fit") as caught:
        _call(fleet, data_type, column)
    assert caught.value.row == 1
    assert caught.value.function.startswith("as_text@")


def test_a_value_finer_than_pythons_own_is_the_callers_fault(fleet):
    with pytest.raises(udfleet.InvalidInputError, match="1001 ns is no whole number of microseconds"):
        _call(fleet, DataTypes.TIMESTAMP(9), pa.array([1001], pa.timestamp("ns")))
