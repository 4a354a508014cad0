"""Dates, times and spans as the numbers that PyFlink's types call their SQL form: days, microseconds, months."""

from __future__ import annotations

import datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def _time(value: datetime.time) -> int:
    moment = datetime.datetime.combine(_EPOCH, value.replace(tzinfo=None))
    return (moment - _EPOCH - (value.utcoffset() or datetime.timedelta())) // _MICROSECOND


def _point(value: datetime.datetime) -> int:
    # One without a zone is local time, as in Python.
    return (value.astimezone(datetime.timezone.utc) - _EPOCH_UTC) // _MICROSECOND


_TO: dict[str, Callable[[Any], int]] = {
    "DATE": lambda value: (value - _EPOCH.date()).days,
    "TIME": _time,
    "TIMESTAMP": lambda value: (value.replace(tzinfo=None) - _EPOCH) // _MICROSECOND,
    "TIMESTAMP_LTZ": _point,
    "INTERVAL_DAY_TIME": lambda value: value // _MICROSECOND,
}
_FROM: dict[str, Callable[[int], Any]] = {
    "DATE": lambda number: _EPOCH.date() + datetime.timedelta(days=number),
    "TIME": lambda number: (_EPOCH + number * _MICROSECOND).time(),
    "TIMESTAMP": lambda number: _EPOCH + number * _MICROSECOND,
    "TIMESTAMP_LTZ": lambda number: _EPOCH_UTC + number * _MICROSECOND,
    "INTERVAL_DAY_TIME": lambda number: number * _MICROSECOND,
}


def to_number(root: str, value: Any) -> Any:
    """The number of a value; of all other types the value itself."""
    return value if value is None or root not in _TO else _TO[root](value)


def from_number(root: str, number: Any) -> Any:
    """The value of a number; of all other types the number itself."""
    return number if number is None or root not in _FROM else _FROM[root](number)
