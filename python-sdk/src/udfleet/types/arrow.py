"""The Arrow type that carries each logical type: the same table as proto/src/types/arrow.rs. And the way back."""

from __future__ import annotations

import pyarrow as pa

from ..errors import InvalidInputError
from .datatype import BYTES, STRING, DataType, Field

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


_ARROW: dict[pa.DataType, DataType] = {
    pa.null(): DataType("NULL"),
    pa.bool_(): DataType("BOOLEAN"),
    pa.int8(): DataType("TINYINT"),
    pa.int16(): DataType("SMALLINT"),
    pa.int32(): DataType("INT"),
    pa.int64(): DataType("BIGINT"),
    pa.uint8(): DataType("SMALLINT"),
    pa.uint16(): DataType("INT"),
    pa.uint32(): DataType("BIGINT"),
    pa.uint64(): DataType("DECIMAL", precision=20, scale=0),
    pa.float16(): DataType("FLOAT"),
    pa.float32(): DataType("FLOAT"),
    pa.float64(): DataType("DOUBLE"),
    pa.string(): STRING,
    pa.large_string(): STRING,
    pa.string_view(): STRING,
    pa.binary(): BYTES,
    pa.large_binary(): BYTES,
    pa.binary_view(): BYTES,
    pa.date32(): DataType("DATE"),
    pa.date64(): DataType("DATE"),
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
        return (
            DataType("TIMESTAMP", precision=digits) if arrow.tz is None else DataType("TIMESTAMP_LTZ", precision=digits)
        )
    if kinds.is_time(arrow):
        return DataType("TIME", precision=_DIGITS[arrow.unit])
    if kinds.is_duration(arrow):
        return DataType("INTERVAL_DAY_TIME")
    if kinds.is_fixed_size_binary(arrow):
        return DataType("BINARY", length=arrow.byte_width)
    if kinds.is_decimal(arrow) and arrow.precision <= 38 and 0 <= arrow.scale <= arrow.precision:
        return DataType("DECIMAL", precision=arrow.precision, scale=arrow.scale)
    if kinds.is_map(arrow):
        value = arrow.item_field
        key = from_arrow(arrow.key_type, where).not_null()
        return DataType("MAP", key=key, element=from_arrow(value.type, where, value.nullable))
    if kinds.is_struct(arrow):
        fields = [arrow.field(index) for index in range(arrow.num_fields)]
        typed = [Field(f.name, from_arrow(f.type, f"{where}.{f.name}", f.nullable)) for f in fields]
        return DataType("ROW", fields=typed)
    if kinds.is_list(arrow) or kinds.is_large_list(arrow) or kinds.is_fixed_size_list(arrow):
        item = arrow.value_field
        return DataType("ARRAY", element=from_arrow(item.type, where, item.nullable))
    raise InvalidInputError(f"{where}: no type holds Arrow's {arrow}", hint="cast the column first")
