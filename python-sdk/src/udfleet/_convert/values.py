"""One Python value of a declared type, as pyarrow takes it for the type that carries it; strict."""

from __future__ import annotations

import datetime
import operator
import struct
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

from ..row import Row
from ..types import DataType
from .misfit import MisfitError, shown
from .times import TEMPORAL, is_missing_time

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64, "INTERVAL_YEAR_MONTH": 32}
_EXACT = Context(prec=80)


def carrier(value: Any, data_type: DataType, path: str = "") -> Any:
    """The value for pyarrow.

    :param path: where it is within the value of its row, for the error.
    :raises MisfitError: it is not of the type.
    """
    if is_missing(value):
        if not data_type.is_nullable:
            raise MisfitError(f"{path}None for {data_type}")
        return None
    try:
        return _CARRIERS[data_type.root](value, data_type, path)
    except _ComplaintError as complaint:
        raise MisfitError(f"{path}{complaint}: {shown(value):.100} for {data_type}") from None


class _ComplaintError(Exception):
    """What is wrong with a value."""


def is_missing(value: Any) -> bool:
    """None, and what pandas and numpy have in its place."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or is_missing_time(value)


def _numpy_kind(value: Any) -> str:
    """The kind of a numpy scalar's dtype; empty for all else."""
    return getattr(value.dtype, "kind", "") if getattr(value, "ndim", None) == 0 and hasattr(value, "dtype") else ""


def _number(value: Any) -> Any:
    """A number of numpy's as Python's own."""
    return value.item() if _numpy_kind(value) and _numpy_kind(value) in "biuf" else value


def _integer(value: Any, data_type: DataType, _: str) -> int:
    number = _number(value)
    if isinstance(number, float):
        if data_type.root == "INTERVAL_YEAR_MONTH" or not float.is_integer(number):
            raise _ComplaintError("not an int")
        whole = float.__int__(number)
    else:
        whole = _index(number)
    limit = 1 << (_BITS[data_type.root] - 1)
    if not -limit <= whole < limit:
        raise _ComplaintError("out of range")
    return whole


def _index(value: Any) -> int:
    if isinstance(value, int):
        return int.__index__(value)
    # Arrays of one number have it too.
    if getattr(value, "ndim", 0) == 0:
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise _ComplaintError("not an int")


def _months(value: Any, data_type: DataType, path: str) -> Any:
    import pyarrow as pa

    # pandas shows an interval as a DateOffset, which has no value by itself.
    parts = getattr(value, "kwds", None)
    if (
        parts is not None
        and parts.keys() <= {"years", "months", "days", "nanoseconds"}
        and not (parts.get("days") or parts.get("nanoseconds"))
    ):
        value = (parts.get("years", 0) * 12 + parts.get("months", 0)) * value.n
    return pa.MonthDayNano([_integer(value, data_type, path), 0, 0])


def _float(value: Any, data_type: DataType, _: str) -> float:
    number = _number(value)
    single = data_type.root == "FLOAT"
    if isinstance(number, float):
        real = float.__float__(number)
        return _single(real) if single else real
    try:
        whole = _index(number)
    except _ComplaintError:
        raise _ComplaintError("not a float") from None
    try:
        real = _single(float(whole)) if single else float(whole)
    except OverflowError:
        raise _ComplaintError("out of range") from None
    if real != whole:
        raise _ComplaintError("not exact")
    return real


def _single(value: float) -> float:
    """The nearest single-precision value."""
    try:
        nearest: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        raise _ComplaintError("out of range") from None
    return nearest


def _boolean(value: Any, _: DataType, __: str) -> bool:
    if isinstance(value, bool) or _numpy_kind(value) == "b":
        return bool(value)
    raise _ComplaintError("not a bool")


def _text(value: Any, data_type: DataType, _: str) -> str:
    if not isinstance(value, str):
        raise _ComplaintError("not a str")
    _check_length(str.__len__(value), data_type, "characters")
    try:
        str.encode(value)
    except UnicodeEncodeError:
        raise _ComplaintError("lone surrogates") from None
    return str.__str__(value)


def _bytes(value: Any, data_type: DataType, _: str) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _ComplaintError("not bytes")
    plain = bytes(value)
    _check_length(len(plain), data_type, "bytes")
    return plain


def _check_length(length: int, data_type: DataType, unit: str) -> None:
    exact = data_type.root in ("CHAR", "BINARY")
    if length != data_type.length if exact else length > data_type.length:
        raise _ComplaintError(f"{length} {unit}")


def _decimal(value: Any, data_type: DataType, _: str) -> Decimal:
    if not isinstance(value, Decimal):
        try:
            value = Decimal(_index(_number(value)))
        except _ComplaintError:
            raise _ComplaintError("not a Decimal") from None
    sign, digits, exponent = Decimal.as_tuple(value)
    if not isinstance(exponent, int):
        raise _ComplaintError("not a number that DECIMAL holds")
    significant = "".join(map(str, digits)).rstrip("0")
    if not significant:
        return Decimal(0).scaleb(-data_type.scale)
    places = -exponent - (len(digits) - len(significant))
    if places > data_type.scale:
        raise _ComplaintError(f"{places} decimal places")
    if len(digits) + exponent > data_type.precision - data_type.scale:
        raise _ComplaintError("too many digits")
    plain = Decimal((sign, digits, exponent))
    return plain.quantize(Decimal(1).scaleb(-data_type.scale), context=_EXACT)


def _temporal(value: Any, data_type: DataType, _: str) -> Any:
    try:
        return TEMPORAL[data_type.root](value, data_type.precision)
    except ValueError as error:
        raise _ComplaintError(str(error)) from None


def _array(value: Any, data_type: DataType, path: str) -> list[Any]:
    listed = isinstance(value, (list, tuple)) or (hasattr(value, "tolist") and not isinstance(value, (str, bytes)))
    if not listed or data_type.element is None or getattr(value, "ndim", 1) == 0:
        raise _ComplaintError("not a list")
    return [carrier(item, data_type.element, f"{path}[{index}]: ") for index, item in enumerate(value)]


def _map(value: Any, data_type: DataType, path: str) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict) or data_type.key is None or data_type.element is None:
        raise _ComplaintError("not a dict")
    return [
        (_key(key, data_type.key, path), carrier(item, data_type.element, f"{path}[{shown(key):.40}]: "))
        for key, item in value.items()
    ]


def _multiset(value: Any, data_type: DataType, path: str) -> list[tuple[Any, int]]:
    if not isinstance(value, dict) or data_type.element is None:
        raise _ComplaintError("not a dict")
    return [(_key(key, data_type.element, path), _count(count)) for key, count in value.items()]


def _key(key: Any, data_type: DataType, path: str) -> Any:
    if is_missing(key):
        raise _ComplaintError("a null key")
    return carrier(key, data_type, f"{path}key: ")


def _count(count: Any) -> int:
    number = _number(count)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 1 << 31:
        raise _ComplaintError("a count that is no positive INT")
    return number


def _row(value: Any, data_type: DataType, path: str) -> dict[str, Any]:
    values = row_values(value, data_type, path)
    pairs = zip(data_type.fields, values, strict=True)
    return {field.name: carrier(item, field.data_type, f"{path}{field.name}: ") for field, item in pairs}


def row_values(value: Any, data_type: DataType, path: str = "") -> list[Any]:
    """A row's values in the order of the type's fields, whatever holds them."""
    names = [field.name for field in data_type.fields]
    named = value if isinstance(value, dict) else _named(value)
    if named is not None:
        if len(named) != len(names) or set(named) != set(names):
            raise MisfitError(f"{path}fields {', '.join(map(str, named))} for {data_type}")
        return [named[name] for name in names]
    if not isinstance(value, (Row, tuple, list)):
        raise MisfitError(f"{path}not a Row: {shown(value):.100} for {data_type}")
    if len(value) != len(names):
        raise MisfitError(f"{path}{len(value)} values for {data_type}")
    return list(value)


def has_attributes(value: Any) -> bool:
    """Whether it is an object of a user's class whose attributes are the fields of a ROW."""
    plain = type(value).__module__ == "builtins" or isinstance(value, type) or hasattr(value, "dtype")
    return not plain and bool(getattr(value, "__dict__", None))


def _named(value: Any) -> dict[str, Any] | None:
    if isinstance(value, Row):
        return value.as_dict() if value._names is not None else None
    return dict(vars(value)) if has_attributes(value) and not isinstance(value, (tuple, list)) else None


def _nothing(value: Any, _: DataType, __: str) -> Any:
    raise _ComplaintError("not None")


_CARRIERS: dict[str, Callable[[Any, DataType, str], Any]] = {
    "NULL": _nothing,
    "BOOLEAN": _boolean,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT"), _integer),
    **dict.fromkeys(("FLOAT", "DOUBLE"), _float),
    **dict.fromkeys(("CHAR", "VARCHAR"), _text),
    **dict.fromkeys(("BINARY", "VARBINARY"), _bytes),
    "DECIMAL": _decimal,
    **dict.fromkeys(TEMPORAL, _temporal),
    "INTERVAL_YEAR_MONTH": _months,
    "ARRAY": _array,
    "MAP": _map,
    "MULTISET": _multiset,
    "ROW": _row,
}


def plain(value: Any, data_type: DataType) -> Any:
    """A literal's value: checked, and a number of the type that its declared type stands for.

    :raises MisfitError: it is not of the type.
    """
    carried = carrier(value, data_type)
    if data_type.root in ("TIMESTAMP", "TIMESTAMP_LTZ") and not isinstance(value, datetime.datetime):
        return value.item()
    return carried if data_type.root in _AS_CARRIED else value


_AS_CARRIED = frozenset({"BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"})
