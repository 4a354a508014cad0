"""The types of columns that Python values are."""

from __future__ import annotations

import array
import datetime
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from .._convert.values import has_attributes
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
    if isinstance(value, array.array):
        return DataTypes.ARRAY(_typed_array(value, where))
    if isinstance(value, list) or getattr(value, "ndim", None) == 1:
        return DataTypes.ARRAY(infer(value, where))
    if isinstance(value, dict):
        return DataTypes.MAP(infer(value.keys(), where), infer(value.values(), where))
    if isinstance(value, (Row, tuple)):
        own = getattr(value, "_names" if isinstance(value, Row) else "_fields", None)
        names = own or [f"f{index}" for index in range(len(value))]
        fields = [Field(name, _type_of(item, f"{where}.{name}")) for name, item in zip(names, value, strict=True)]
        return DataTypes.ROW(fields)
    if has_attributes(value):
        fields = [Field(name, _type_of(item, f"{where}.{name}")) for name, item in vars(value).items()]
        return DataTypes.ROW(fields)
    raise InvalidInputError(f"{where}: no type holds {value!r:.100}", hint="give a schema, or other values")


_ARRAYS: dict[str, DataType] = {
    "f": DataTypes.FLOAT(False),
    "d": DataTypes.DOUBLE(False),
    "u": DataTypes.STRING(False),
    "w": DataTypes.STRING(False),
}
_INTEGERS = {1: DataTypes.TINYINT(False), 2: DataTypes.SMALLINT(False), 4: DataTypes.INT(False)}


def _typed_array(value: array.array[Any], where: str) -> DataType:
    """The type of an array.array's items: by its type code and the size that it has on this machine."""
    known = _ARRAYS.get(value.typecode)
    if known is not None:
        return known
    # An unsigned type's values fit the next wider signed one.
    size = value.itemsize * (2 if value.typecode.isupper() else 1)
    if size > 8:
        raise InvalidInputError(f"{where}: no type holds array({value.typecode!r})", hint="give a schema, or a list")
    return _INTEGERS.get(size, DataTypes.BIGINT(False))


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
