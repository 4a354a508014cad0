"""Values of state as bytes: what fits its type comes back, what does not is refused, equal values have equal bytes."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest

from udfleet import DataTypes, Row
from udfleet._state.codec import StateTypeError, codec_of

_ROW = DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT()), DataTypes.FIELD("b", DataTypes.STRING())])

FITTING = [
    (DataTypes.BOOLEAN(), True),
    (DataTypes.TINYINT(), -128),
    (DataTypes.INT(), 2**31 - 1),
    (DataTypes.BIGINT(), -(2**63)),
    (DataTypes.FLOAT(), 0.5),
    (DataTypes.DOUBLE(), 1e300),
    (DataTypes.STRING(), "gruß"),
    (DataTypes.CHAR(2), "ab"),
    (DataTypes.BYTES(), b"\0\1"),
    (DataTypes.DECIMAL(38, 2), decimal.Decimal("-123.45")),
    (DataTypes.DATE(), datetime.date(1, 1, 1)),
    (DataTypes.TIME(), datetime.time(23, 59, 59, 999_000)),
    (DataTypes.TIMESTAMP(), datetime.datetime(1, 1, 1, 0, 0, 0, 1)),
    (DataTypes.TIMESTAMP(9), datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999)),
    (DataTypes.TIMESTAMP_LTZ(), datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)),
    (DataTypes.ARRAY(DataTypes.INT()), [1, None, 3]),
    (DataTypes.MAP(DataTypes.STRING(), DataTypes.ARRAY(DataTypes.INT())), {"a": [1], "b": None}),
    (_ROW, Row(a=1, b=None)),
]


@pytest.mark.parametrize(("data_type", "value"), FITTING, ids=lambda value: str(value)[:20])
def test_what_fits_comes_back(data_type: Any, value: Any) -> None:
    codec = codec_of(data_type)
    found = codec.decode(codec.encode(value))
    assert found == value
    assert type(found) is type(value)


MISFITS = [
    (DataTypes.BOOLEAN(), 1),
    (DataTypes.TINYINT(), 128),
    (DataTypes.BIGINT(), 1.0),
    (DataTypes.BIGINT(), True),
    (DataTypes.FLOAT(), 1e300),
    (DataTypes.DOUBLE(), 2**60 + 1),
    (DataTypes.DOUBLE(), "1"),
    (DataTypes.VARCHAR(2), "abc"),
    (DataTypes.CHAR(2), "a"),
    (DataTypes.STRING(), "\ud800"),
    (DataTypes.BINARY(2), b"a"),
    (DataTypes.DECIMAL(4, 2), decimal.Decimal("123.45")),
    (DataTypes.DECIMAL(4, 2), decimal.Decimal("1.234")),
    (DataTypes.DECIMAL(4, 2), decimal.Decimal("NaN")),
    (DataTypes.DATE(), datetime.datetime(2020, 1, 1)),
    (DataTypes.TIME(), datetime.time(1, 2, 3, 1)),
    (DataTypes.TIME(), datetime.time(1, tzinfo=datetime.timezone.utc)),
    (DataTypes.TIMESTAMP(3), datetime.datetime(2020, 1, 1, 0, 0, 0, 1)),
    (DataTypes.TIMESTAMP(), datetime.date(2020, 1, 1)),
    (DataTypes.TIMESTAMP(), datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)),
    (DataTypes.TIMESTAMP_LTZ(), datetime.datetime(2020, 1, 1)),
    (DataTypes.ARRAY(DataTypes.INT(nullable=False)), [None]),
    (DataTypes.ARRAY(DataTypes.INT()), "12"),
    (_ROW, Row(1)),
    (_ROW, {"c": 1}),
]


@pytest.mark.parametrize(("data_type", "value"), MISFITS, ids=lambda value: repr(value)[:20])
def test_what_does_not_fit_is_refused(data_type: Any, value: Any) -> None:
    with pytest.raises(StateTypeError):
        codec_of(data_type).encode(value)


def test_equal_values_have_equal_bytes() -> None:
    double = codec_of(DataTypes.DOUBLE())
    assert double.encode(0.0) == double.encode(-0.0) == double.encode(0)
    assert double.encode(float("nan")) == double.encode(-float("nan"))
    number = codec_of(DataTypes.DECIMAL(10, 3))
    assert number.encode(decimal.Decimal("1.5")) == number.encode(decimal.Decimal("1.500"))
    mapping = codec_of(DataTypes.MAP(DataTypes.STRING(), DataTypes.INT()))
    assert mapping.encode({"a": 1, "b": 2}) == mapping.encode({"b": 2, "a": 1})


def test_bytes_never_change() -> None:
    assert codec_of(DataTypes.BIGINT()).encode(258) == b"\x02\x01\0\0\0\0\0\0"
    assert codec_of(DataTypes.DATE()).encode(datetime.date(1970, 1, 2)) == b"\1\0\0\0"
    assert codec_of(DataTypes.ARRAY(DataTypes.STRING())).encode(["a", None]) == b"\1\1\0\0\0a\0"
    assert codec_of(DataTypes.DECIMAL(5, 2)).encode(decimal.Decimal(1)) == b"\x64" + bytes(15)


def test_a_type_that_state_can_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="INTERVAL"):
        codec_of(DataTypes.INTERVAL(DataTypes.MONTH()))


@pytest.mark.parametrize("key", [DataTypes.ARRAY(DataTypes.BIGINT()), DataTypes.MAP(DataTypes.INT(), DataTypes.INT())])
def test_maps_have_keys_that_a_dict_can_have(key: Any) -> None:
    row = DataTypes.ROW([DataTypes.FIELD("part", key)])
    for data_type in (DataTypes.MAP(key, DataTypes.INT()), DataTypes.MAP(row, DataTypes.INT())):
        with pytest.raises(TypeError, match="keys of a dict"):
            codec_of(data_type)
    codec_of(DataTypes.MAP(DataTypes.ROW([DataTypes.FIELD("part", DataTypes.INT())]), DataTypes.INT()))
