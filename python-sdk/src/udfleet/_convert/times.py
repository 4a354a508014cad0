"""Dates, times and intervals as the whole numbers that Arrow keeps, so that nothing is cut on the way."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

_DAY = 86_400
_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
_FIRST_SECOND = (datetime.datetime.min - _EPOCH) // datetime.timedelta(seconds=1)
_LAST_SECOND = (datetime.datetime.max - _EPOCH) // datetime.timedelta(seconds=1)
_NUMPY_NANOSECONDS = {
    "W": 7 * _DAY * 10**9,
    "D": _DAY * 10**9,
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}


def is_missing_time(value: Any) -> bool:
    """Whether it is numpy's NaT."""
    return _numpy_kind(value) != "" and bool(value != value)


def _numpy_kind(value: Any) -> str:
    """`M` for numpy's datetime64, `m` for its timedelta64."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return str(kind) if kind in ("M", "m") and getattr(value, "ndim", None) == 0 else ""


def _numpy_nanoseconds(value: Any, kind: str) -> int:
    """Of a datetime64 since 1970, of a timedelta64 in all."""
    unit = value.dtype.str.partition("[")[2].rstrip("]")
    if unit in ("Y", "M") and kind == "M":
        value, unit = value.astype("datetime64[s]"), "s"
    if unit not in _NUMPY_NANOSECONDS:
        raise ValueError(f"in the unit {unit or 'none'!r}")
    number: int = value.astype("int64").item()
    return number * _NUMPY_NANOSECONDS[unit]


def unit_digits(precision: int) -> int:
    """Digits of a second that Arrow's unit for a type of this precision keeps."""
    return 0 if precision == 0 else 3 if precision <= 3 else 6 if precision <= 6 else 9


def _in_unit(nanoseconds: int, precision: int) -> int:
    if nanoseconds % 10 ** (9 - precision):
        raise ValueError(f"finer than {precision} digits of a second")
    return nanoseconds // int(10 ** (9 - unit_digits(precision)))


def _timestamp_number(nanoseconds: int, precision: int) -> int:
    number = _in_unit(nanoseconds, precision)
    if not (_FIRST_SECOND <= nanoseconds // 10**9 <= _LAST_SECOND and -(1 << 63) <= number < 1 << 63):
        raise ValueError("out of range")
    return number


def _date(value: Any, _: int) -> datetime.date:
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
        raise ValueError("not a date")
    return datetime.date(value.year, value.month, value.day)


def _time(value: Any, precision: int) -> int:
    if not isinstance(value, datetime.time):
        raise ValueError("not a time")
    if value.tzinfo is not None:
        raise ValueError("with a time zone")
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return _in_unit((seconds * 10**6 + value.microsecond) * 1000, precision)


def _timestamp(value: Any, precision: int) -> int:
    if _numpy_kind(value) == "M":
        return _timestamp_number(_numpy_nanoseconds(value, "M"), precision)
    if not isinstance(value, datetime.datetime):
        raise ValueError("not a datetime")
    if value.tzinfo is not None:
        raise ValueError("with a time zone")
    return _timestamp_number(_since(value, _EPOCH), precision)


def _zoned(value: Any, precision: int) -> int:
    if _numpy_kind(value) == "M":
        raise ValueError("without a time zone")
    if not isinstance(value, datetime.datetime):
        raise ValueError("not a datetime")
    if value.utcoffset() is None:
        raise ValueError("without a time zone")
    return _timestamp_number(_since(value, _EPOCH_UTC), precision)


def _since(value: datetime.datetime, epoch: datetime.datetime) -> int:
    # pandas' Timestamp keeps what is finer than a microsecond apart, and its own arithmetic ends in the year 2262.
    finer = int(getattr(value, "nanosecond", 0))
    plain = datetime.datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond,
        value.tzinfo, fold=value.fold,
    )  # fmt: skip
    return (plain - epoch) // _MICROSECOND * 1000 + finer


def _interval(value: Any, _: int) -> int:
    if _numpy_kind(value) == "m":
        nanoseconds = _numpy_nanoseconds(value, "m")
    elif isinstance(value, datetime.timedelta):
        whole = (value.days * _DAY + value.seconds) * 10**6 + value.microseconds
        nanoseconds = whole * 1000 + int(getattr(value, "nanoseconds", 0))
    else:
        raise ValueError("not a timedelta")
    if nanoseconds % 1000:
        raise ValueError("finer than microseconds")
    if not -(1 << 63) <= nanoseconds // 1000 < 1 << 63:
        raise ValueError("out of range")
    return nanoseconds // 1000


TEMPORAL: dict[str, Callable[[Any, int], Any]] = {
    "DATE": _date,
    "TIME": _time,
    "TIMESTAMP": _timestamp,
    "TIMESTAMP_LTZ": _zoned,
    "INTERVAL_DAY_TIME": _interval,
}
"""By the root of the type: of a value and the type's precision, what pyarrow takes; ValueError says what it is not."""
