"""The Arrow type that carries each logical type: the same table as proto/src/types/arrow.rs."""

from __future__ import annotations

import pyarrow as pa

from .datatype import DataType

_PLAIN = {
    "NULL": pa.null(),
    "CHAR": pa.string(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "VARBINARY": pa.binary(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "INTERVAL_YEAR_MONTH": pa.month_day_nano_interval(),
    "INTERVAL_DAY_TIME": pa.duration("us"),
}


def _unit(precision: int) -> str:
    return "s" if precision == 0 else "ms" if precision <= 3 else "us" if precision <= 6 else "ns"


def to_arrow_field(name: str, data_type: DataType) -> pa.Field:
    """The Arrow field of a column of this type."""
    # pyarrow knows no null type that takes no nulls.
    return pa.field(name, to_arrow(data_type), data_type.is_nullable or data_type.root == "NULL")


def to_arrow(data_type: DataType) -> pa.DataType:
    """The Arrow type."""
    root = data_type.root
    if root in _PLAIN:
        return _PLAIN[root]
    if root == "BINARY":
        return pa.binary(data_type.length)
    if root == "DECIMAL":
        return pa.decimal128(data_type.precision, data_type.scale)
    if root == "TIME":
        unit = _unit(data_type.precision)
        return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    if root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return pa.timestamp(_unit(data_type.precision), tz=None if root == "TIMESTAMP" else "UTC")
    if root == "ROW":
        return pa.struct([to_arrow_field(field.name, field.data_type) for field in data_type.fields])
    if root == "ARRAY" and data_type.element is not None:
        return pa.list_(to_arrow_field("item", data_type.element))
    if root == "MAP" and data_type.key is not None and data_type.element is not None:
        return pa.map_(_key(data_type.key), to_arrow_field("value", data_type.element))
    if root == "MULTISET" and data_type.element is not None:
        return pa.map_(_key(data_type.element), pa.field("value", pa.int32(), nullable=False))
    raise ValueError(f"{data_type} has no Arrow type")


def _key(data_type: DataType) -> pa.DataType:
    if data_type.root == "NULL":
        raise ValueError("a map can't have keys of type NULL")
    return to_arrow(data_type)
