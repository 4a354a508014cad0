"""The types of columns that Python values are, and of Arrow columns."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ..errors import InvalidInputError
from ..row import Row
from ..types import DataType, DataTypes, Field

_PLAIN: list[tuple[type, DataType]] = [
    (bool, DataTypes.BOOLEAN()),
    (int, DataTypes.BIGINT()),
    (float, DataTypes.DOUBLE()),
    (str, DataTypes.STRING()),
    (bytes, DataTypes.BYTES()),
    (bytearray, DataTypes.BYTES()),
    (Decimal, DataTypes.DECIMAL(38, 18)),
    (datetime.date, DataTypes.DATE()),
    (datetime.time, DataTypes.TIME(6)),
    (datetime.timedelta, DataType("INTERVAL_DAY_TIME")),
]


def infer(values: Iterable[Any], where: str) -> DataType:
    """The type that all the values have; NULL where all are None."""
    found = DataTypes.NULL()
    for value in values:
        found = _common(found, _type_of(value, where), where)
    return found


def _type_of(value: Any, where: str) -> DataType:
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    if value is None:
        return DataTypes.NULL()
    if isinstance(value, datetime.datetime):
        return DataTypes.TIMESTAMP(6) if value.tzinfo is None else DataTypes.TIMESTAMP_LTZ(6)
    for kind, data_type in _PLAIN:
        if isinstance(value, kind):
            return data_type
    if isinstance(value, list) or getattr(value, "ndim", None) == 1:
        return DataTypes.ARRAY(infer(value, where))
    if isinstance(value, dict):
        return DataTypes.MAP(infer(value.keys(), where), infer(value.values(), where))
    if isinstance(value, (Row, tuple)):
        names = (value._names if isinstance(value, Row) else None) or [f"f{index}" for index in range(len(value))]
        fields = [Field(name, _type_of(item, f"{where}.{name}")) for name, item in zip(names, value, strict=True)]
        return DataTypes.ROW(fields)
    raise InvalidInputError(f"{where}: no type holds {value!r:.100}", hint="give a schema, or other values")


def _common(left: DataType, right: DataType, where: str) -> DataType:
    if left == right or right.root == "NULL":
        return left
    if left.root == "NULL":
        return right
    if left.root == right.root == "ARRAY":
        return DataTypes.ARRAY(_common(_part(left), _part(right), where))
    if left.root == right.root == "MAP" and left.key is not None and right.key is not None:
        return DataTypes.MAP(_common(left.key, right.key, where), _common(_part(left), _part(right), where))
    names = [field.name for field in left.fields]
    if left.root == right.root == "ROW" and names == [field.name for field in right.fields]:
        pairs = zip(left.fields, right.fields, strict=True)
        return DataTypes.ROW([Field(a.name, _common(a.data_type, b.data_type, f"{where}.{a.name}")) for a, b in pairs])
    raise InvalidInputError(f"{where}: values of types {left} and {right}", hint="give a schema, or values of one type")


def _part(data_type: DataType) -> DataType:
    return data_type.element or DataTypes.NULL()


_ARROW: dict[pa.DataType, DataType] = {
    pa.null(): DataTypes.NULL(),
    pa.bool_(): DataTypes.BOOLEAN(),
    pa.int8(): DataTypes.TINYINT(),
    pa.int16(): DataTypes.SMALLINT(),
    pa.int32(): DataTypes.INT(),
    pa.int64(): DataTypes.BIGINT(),
    pa.uint8(): DataTypes.SMALLINT(),
    pa.uint16(): DataTypes.INT(),
    pa.uint32(): DataTypes.BIGINT(),
    pa.uint64(): DataTypes.DECIMAL(20, 0),
    pa.float16(): DataTypes.FLOAT(),
    pa.float32(): DataTypes.FLOAT(),
    pa.float64(): DataTypes.DOUBLE(),
    pa.string(): DataTypes.STRING(),
    pa.large_string(): DataTypes.STRING(),
    pa.string_view(): DataTypes.STRING(),
    pa.binary(): DataTypes.BYTES(),
    pa.large_binary(): DataTypes.BYTES(),
    pa.binary_view(): DataTypes.BYTES(),
    pa.date32(): DataTypes.DATE(),
    pa.date64(): DataTypes.DATE(),
    pa.month_day_nano_interval(): DataType("INTERVAL_YEAR_MONTH"),
}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def from_arrow(arrow_type: pa.DataType, where: str, nullable: bool = True) -> DataType:
    """The type that holds all values of an Arrow type."""
    found = _from_arrow(arrow_type, where)
    return found if nullable or found.root == "NULL" else found.not_null()


def _from_arrow(arrow: pa.DataType, where: str) -> DataType:
    if arrow in _ARROW:
        return _ARROW[arrow]
    kinds = pa.types
    if kinds.is_dictionary(arrow):
        return _from_arrow(arrow.value_type, where)
    if kinds.is_timestamp(arrow):
        digits = _DIGITS[arrow.unit]
        return DataTypes.TIMESTAMP(digits) if arrow.tz is None else DataTypes.TIMESTAMP_LTZ(digits)
    if kinds.is_time(arrow):
        return DataTypes.TIME(_DIGITS[arrow.unit])
    if kinds.is_duration(arrow):
        return DataType("INTERVAL_DAY_TIME")
    if kinds.is_fixed_size_binary(arrow):
        return DataTypes.BINARY(arrow.byte_width)
    if kinds.is_decimal(arrow) and arrow.precision <= 38 and 0 <= arrow.scale <= arrow.precision:
        return DataTypes.DECIMAL(arrow.precision, arrow.scale)
    if kinds.is_map(arrow):
        value = arrow.item_field
        return DataTypes.MAP(
            from_arrow(arrow.key_type, where).not_null(), from_arrow(value.type, where, value.nullable)
        )
    if kinds.is_struct(arrow):
        fields = [arrow.field(index) for index in range(arrow.num_fields)]
        return DataTypes.ROW([Field(f.name, from_arrow(f.type, f"{where}.{f.name}", f.nullable)) for f in fields])
    if kinds.is_list(arrow) or kinds.is_large_list(arrow) or kinds.is_fixed_size_list(arrow):
        item = arrow.value_field
        return DataTypes.ARRAY(from_arrow(item.type, where, item.nullable))
    raise InvalidInputError(f"{where}: no type holds Arrow's {arrow}", hint="cast the column first")
