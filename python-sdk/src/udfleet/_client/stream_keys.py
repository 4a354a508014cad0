"""Encoded keys as values again. `proto/src/key` writes them."""

from __future__ import annotations

import datetime
import decimal
import struct
from typing import Any

import pyarrow as pa

from ..row import Row

_DOUBLE = struct.Struct("<d")


def decode_key(data: bytes, schema: pa.Schema) -> Any:
    """The key of these bytes: a value, or a tuple where it has several columns."""
    values, at = [], 0
    for field in schema:
        value, at = _value(data, at, field.type)
        values.append(value)
    return values[0] if len(values) == 1 else tuple(values)


def _value(data: bytes, at: int, kind: pa.DataType) -> tuple[Any, int]:
    if pa.types.is_dictionary(kind):
        return _value(data, at, kind.value_type)
    if data[at] == 0:
        return None, at + 1
    at += 1
    types = pa.types
    if types.is_null(kind):
        return None, at
    if types.is_boolean(kind):
        return data[at] == 1, at + 1
    if types.is_floating(kind):
        return _DOUBLE.unpack_from(data, at)[0], at + 8
    if types.is_decimal(kind):
        end = at + 1 + data[at]
        unscaled = int.from_bytes(data[at + 1 : end], "little", signed=True)
        return decimal.Decimal(unscaled).scaleb(-kind.scale, decimal.Context(prec=80)), end
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        count, at = _length(data, at)
        items = []
        for _ in range(count):
            item, at = _value(data, at, kind.value_type)
            items.append(item)
        return items, at
    if types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        values = []
        for field in fields:
            value, at = _value(data, at, field.type)
            values.append(value)
        row = Row(*values)
        row.set_field_names([field.name for field in fields])
        return row, at
    if _is_sized(kind):
        count, at = _length(data, at)
        text = data[at : at + count]
        is_text = types.is_string(kind) or types.is_large_string(kind) or kind == pa.string_view()
        return (text.decode() if is_text else text), at + count
    number = int.from_bytes(data[at : at + 8], "little", signed=True)
    return _of_number(number, kind), at + 8


def _of_number(number: int, kind: pa.DataType) -> Any:
    types = pa.types
    if types.is_date32(kind):
        return datetime.date.fromordinal(number + datetime.date(1970, 1, 1).toordinal())
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind) or types.is_duration(kind):
        narrow = types.is_time32(kind)
        scalar = pa.scalar(number, pa.int32() if narrow else pa.int64()).cast(kind)
        return scalar.as_py()
    return number


def _is_sized(kind: pa.DataType) -> bool:
    types = pa.types
    texts = types.is_string(kind) or types.is_large_string(kind) or kind == pa.string_view()
    binaries = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    return bool(texts or binaries or kind == pa.binary_view())


def _length(data: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 4], "little"), at + 4
