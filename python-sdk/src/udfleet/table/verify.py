"""The strict check of values that tables are made of: range, Python type, length and nullability."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ..errors import InvalidInputError
from ..row import Row
from ..types import DataType

_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64, "INTERVAL_YEAR_MONTH": 32}
_FLOAT_MAX = 3.4028234663852886e38


class _MisfitError(InvalidInputError):
    """A value that does not fit, before anybody knows where it lies."""


def verify(value: Any, data_type: DataType, where: str) -> None:
    """Refuses a value that is not of the type.

    :raises InvalidInputError: naming the place, the value and what it is not.
    """
    try:
        _check(value, data_type, "")
    except _MisfitError as misfit:
        raise InvalidInputError(f"{where}: {misfit.message}", value=repr(value)[:200]) from None


def _check(value: Any, data_type: DataType, path: str) -> None:
    if value is None:
        if not data_type.is_nullable:
            raise _MisfitError(f"{path}None for {data_type}")
        return
    complaint = _CHECKS[data_type.root](value, data_type, path)
    if complaint:
        raise _MisfitError(f"{path}{complaint}: {value!r:.100} for {data_type}")


def _integer(value: Any, data_type: DataType, _: str) -> str:
    if isinstance(value, bool) or not (isinstance(value, int) or _is_numpy(value, "iu")):
        return "not an int"
    limit = 1 << (_INTEGERS[data_type.root] - 1)
    return "" if -limit <= value < limit else "out of range"


def _is_numpy(value: Any, kinds: str) -> bool:
    return getattr(value, "ndim", None) == 0 and getattr(getattr(value, "dtype", None), "kind", "") in kinds


def _float(value: Any, data_type: DataType, _: str) -> str:
    if not isinstance(value, float) and not _is_numpy(value, "f"):
        return "not a float"
    finite = value - value == 0
    return "out of range" if data_type.root == "FLOAT" and finite and abs(value) > _FLOAT_MAX else ""


def _text(value: Any, data_type: DataType, _: str) -> str:
    if not isinstance(value, str):
        return "not a str"
    return _length(len(value), data_type, "characters") or _encodable(value)


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "lone surrogates"
    return ""


def _bytes(value: Any, data_type: DataType, _: str) -> str:
    if not isinstance(value, (bytes, bytearray)):
        return "not bytes"
    return _length(len(value), data_type, "bytes")


def _length(length: int, data_type: DataType, unit: str) -> str:
    exact = data_type.root in ("CHAR", "BINARY")
    fits = length == data_type.length if exact else length <= data_type.length
    return "" if fits else f"{length} {unit}"


def _decimal(value: Any, data_type: DataType, _: str) -> str:
    if not isinstance(value, Decimal):
        return "not a Decimal"
    if not value.is_finite():
        return "not a number that DECIMAL holds"
    digits, exponent = value.as_tuple()[1:]
    significant = "".join(map(str, digits)).rstrip("0")
    places = -int(exponent) - (len(digits) - len(significant)) if significant else 0
    if places > data_type.scale:
        return f"{places} decimal places"
    before = len(digits) + int(exponent)
    return "too many digits" if significant and before > data_type.precision - data_type.scale else ""


def _temporal(kind: Any, zone: bool | None = None) -> Callable[[Any, DataType, str], str]:
    def check(value: Any, data_type: DataType, _: str) -> str:
        exact = kind is not datetime.date
        if not isinstance(value, kind) or (not exact and isinstance(value, datetime.datetime)):
            return f"not a {kind.__name__}"
        if zone is not None and (value.tzinfo is not None) != zone:
            return "without a time zone" if zone else "with a time zone"
        step = 10 ** max(0, 6 - data_type.precision)
        return f"finer than {data_type.precision} digits of a second" if exact and value.microsecond % step else ""

    return check


def _array(value: Any, data_type: DataType, path: str) -> str:
    if not isinstance(value, (list, tuple)) and not hasattr(value, "tolist"):
        return "not a list"
    if data_type.element is not None:
        for index, item in enumerate(value):
            _check(item, data_type.element, f"{path}[{index}]: ")
    return ""


def _map(value: Any, data_type: DataType, path: str) -> str:
    if not isinstance(value, dict):
        return "not a dict"
    key = data_type.key or data_type.element
    for name, item in value.items():
        if name is None:
            return "a null key"
        if key is not None:
            _check(name, key, f"{path}key: ")
        if data_type.root == "MULTISET":
            if isinstance(item, bool) or not isinstance(item, int) or not 0 < item < 1 << 31:
                return "a count that is no positive INT"
        elif data_type.element is not None:
            _check(item, data_type.element, f"{path}[{name!r:.40}]: ")
    return ""


def _row(value: Any, data_type: DataType, path: str) -> str:
    try:
        values = row_values(value, data_type)
    except _MisfitError as misfit:
        raise _MisfitError(f"{path}{misfit.message}") from None
    for field, item in zip(data_type.fields, values, strict=True):
        _check(item, field.data_type, f"{path}{field.name}: ")
    return ""


def row_values(value: Any, data_type: DataType) -> list[Any]:
    """A row's values in the order of the type's fields, whatever holds them."""
    names = [field.name for field in data_type.fields]
    named = value if isinstance(value, dict) else _named(value)
    if named is not None:
        if set(named) != set(names):
            raise _MisfitError(f"fields {', '.join(map(str, named))} for {data_type}")
        return [named[name] for name in names]
    if not isinstance(value, (Row, tuple, list)):
        raise _MisfitError(f"not a Row: {value!r:.100} for {data_type}")
    if len(value) != len(names):
        raise _MisfitError(f"{len(value)} values for {data_type}")
    return list(value)


def _named(value: Any) -> dict[str, Any] | None:
    return value.as_dict() if isinstance(value, Row) and value._names is not None else None


def _kind(kind: type) -> Callable[[Any, DataType, str], str]:
    return lambda value, data_type, path: "" if isinstance(value, kind) else f"not a {kind.__name__}"


def _boolean(value: Any, _: DataType, __: str) -> str:
    return "" if isinstance(value, bool) or _is_numpy(value, "b") else "not a bool"


_CHECKS: dict[str, Callable[[Any, DataType, str], str]] = {
    "NULL": lambda *_: "not None",
    "BOOLEAN": _boolean,
    **dict.fromkeys(_INTEGERS, _integer),
    **dict.fromkeys(("FLOAT", "DOUBLE"), _float),
    **dict.fromkeys(("CHAR", "VARCHAR"), _text),
    **dict.fromkeys(("BINARY", "VARBINARY"), _bytes),
    "DECIMAL": _decimal,
    "DATE": _temporal(datetime.date),
    "TIME": _temporal(datetime.time, zone=False),
    "TIMESTAMP": _temporal(datetime.datetime, zone=False),
    "TIMESTAMP_LTZ": _temporal(datetime.datetime, zone=True),
    "INTERVAL_DAY_TIME": _kind(datetime.timedelta),
    "ARRAY": _array,
    **dict.fromkeys(("MAP", "MULTISET"), _map),
    "ROW": _row,
}
