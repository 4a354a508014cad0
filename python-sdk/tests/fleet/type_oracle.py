"""The table of docs/types.md once more, in plain Python: what becomes of a value that a function returns."""

from __future__ import annotations

import datetime as dt
import math
import operator
import struct
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from udfleet import DataType, Row

BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64, "INTERVAL_YEAR_MONTH": 32}
SECONDS = {"W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1}
PARTS = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
EPOCH = dt.datetime(1970, 1, 1)
MICROSECOND = dt.timedelta(microseconds=1)


class RefusedError(Exception):
    """The value does not fit."""


def fits(condition: object) -> None:
    if not condition:
        raise RefusedError


def is_missing(value: Any) -> bool:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return value is None or value is pd.NaT or value is pd.NA


def result(kind: DataType, value: Any) -> Any:
    """As pyarrow shows it; raises `RefusedError`."""
    if is_missing(value):
        fits(kind.is_nullable)
        return None
    return RULES[kind.root](kind, value)


def as_double(value: Any) -> float:
    """Of Python's floats and numpy's, of any width."""
    fits(isinstance(value, (float, np.floating)))
    number = float.__float__(value) if isinstance(value, float) else float(value)
    fits(math.isnan(number) or isinstance(value, float) or number == value)
    return number


def as_integer(value: Any) -> int:
    if isinstance(value, np.bool_):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = as_double(value)
        fits(math.isfinite(number) and number == int(number))
        return int(number)
    return as_index(value)


def as_index(value: Any) -> int:
    try:
        return operator.index(value)
    except Exception:
        raise RefusedError from None


def integer(kind: DataType, value: Any) -> int:
    number, half = as_integer(value), 1 << BITS[kind.root] - 1
    fits(-half <= number < half)
    return number


def boolean(_: DataType, value: Any) -> bool:
    fits(isinstance(value, (bool, np.bool_)))
    return bool(value)


def double(_: DataType, value: Any) -> float:
    if isinstance(value, (float, np.floating)):
        return as_double(value)
    number = as_integer(value)
    fits(abs(number) < 2**1024)
    fits(abs(number) <= 1.7976931348623157e308 and int(float(number)) == number)
    return float(number)


def single(kind: DataType, value: Any) -> float:
    number = double(kind, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nearest = float(np.float32(number))
    fits(math.isinf(number) or not math.isinf(nearest))
    fits(isinstance(value, (float, np.floating)) or nearest == number)
    return nearest


def text(kind: DataType, value: Any) -> str:
    fits(isinstance(value, str))
    fits(not any("\ud800" <= letter <= "\udfff" for letter in value))
    fits(len(value) == kind.length if kind.root == "CHAR" else len(value) <= kind.length)
    return str.__str__(value)


def binary(kind: DataType, value: Any) -> bytes:
    fits(isinstance(value, (bytes, bytearray, memoryview)))
    held = bytes(value)
    fits(len(held) == kind.length if kind.root == "BINARY" else len(held) <= kind.length)
    return held


def decimal(kind: DataType, value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        number = as_index(value)
        fits(abs(number) < 10 ** (kind.precision - kind.scale))
        return Decimal(number)
    fits(value.is_finite())
    sign, digits, exponent = value.as_tuple()
    plain = "".join(map(str, digits)).lstrip("0")
    if not plain:
        return Decimal(0)
    exponent = int(exponent) + len(plain) - len(plain.rstrip("0"))
    plain = plain.rstrip("0")
    fits(-exponent <= kind.scale and len(plain) + exponent <= kind.precision - kind.scale)
    return Decimal((sign, tuple(map(int, plain)), exponent))


def date(_: DataType, value: Any) -> dt.date:
    fits(isinstance(value, dt.date) and not isinstance(value, dt.datetime))
    return dt.date(value.year, value.month, value.day)


def time(kind: DataType, value: Any) -> dt.time:
    fits(isinstance(value, dt.time) and value.tzinfo is None)
    fits(value.microsecond * 10**kind.precision % 10**6 == 0)
    return dt.time(value.hour, value.minute, value.second, value.microsecond)


def since_1970(value: Any) -> Fraction:
    """Seconds, of numpy's datetimes; of its durations, how many they are."""
    unit, count = np.datetime_data(value.dtype)
    ticks = int(value.astype("int64")) * count
    if unit in PARTS:
        return Fraction(ticks, PARTS[unit])
    if unit in ("Y", "M") and isinstance(value, np.datetime64):
        year, month = divmod(ticks * (12 if unit == "Y" else 1), 12)
        fits(1 <= 1970 + year <= 9999)
        return Fraction((dt.datetime(1970 + year, month + 1, 1) - EPOCH) // dt.timedelta(seconds=1))
    fits(unit in SECONDS)
    return Fraction(ticks * SECONDS[unit])


def moment(seconds: Fraction, digits: int) -> Any:
    """A point in time, where it has no more digits of a second and a year from 1 to 9999."""
    fits(seconds * 10**digits % 1 == 0)
    micros = seconds * 10**6
    try:
        found: Any = EPOCH + int(micros // 1) * MICROSECOND
    except OverflowError:
        raise RefusedError from None
    if digits > 6:
        fits(-(2**63) <= seconds * 10**9 < 2**63)
        return pd.Timestamp(int(seconds * 10**9), unit="ns")
    return found


def timestamp(kind: DataType, value: Any) -> Any:
    if isinstance(value, np.datetime64):
        fits(kind.root == "TIMESTAMP")
        seconds = since_1970(value)
        fits(seconds * 10**6 % 1 == 0)
        return moment(seconds, kind.precision)
    fits(isinstance(value, dt.datetime) and getattr(value, "nanosecond", 0) == 0)
    try:
        offset = value.utcoffset()
    except Exception:
        raise RefusedError from None
    fits((offset is None) == (kind.root == "TIMESTAMP"))
    naive = dt.datetime(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    found = moment(Fraction((naive - EPOCH - (offset or dt.timedelta(0))) // MICROSECOND, 10**6), kind.precision)
    return found if offset is None else with_utc(found)


def with_utc(value: Any) -> Any:
    return value.tz_localize("UTC") if isinstance(value, pd.Timestamp) else value.replace(tzinfo=dt.timezone.utc)


def duration(_: DataType, value: Any) -> dt.timedelta:
    if isinstance(value, np.timedelta64):
        micros = since_1970(value) * 10**6
        fits(micros % 1 == 0)
        fits(-(2**63) <= micros < 2**63)
        return dt.timedelta(microseconds=int(micros))
    fits(isinstance(value, dt.timedelta) and getattr(value, "nanoseconds", 0) == 0)
    fits(-(2**63) <= value // MICROSECOND < 2**63)
    return dt.timedelta(value.days, value.seconds, value.microseconds)


def array(kind: DataType, value: Any) -> list[Any]:
    fits(isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0))
    return [result(kind.element, item) for item in value]


def mapping(kind: DataType, value: Any) -> list[tuple[Any, Any]]:
    fits(isinstance(value, dict))
    counted = kind.root == "MULTISET"
    key, item = (kind.element, DataType("INT")) if counted else (kind.key, kind.element)
    fits(not any(is_missing(each) for each in value))
    fits(not counted or not any(is_missing(each) for each in value.values()))
    return [(result(key, each), result(item, held)) for each, held in value.items()]


def row(kind: DataType, value: Any) -> dict[str, Any]:
    names = [field.name for field in kind.fields]
    if isinstance(value, Row) and value._names is not None:
        value = value.as_dict()
    if isinstance(value, dict):
        fits(set(value) == set(names))
        values = [value[name] for name in names]
    else:
        fits(isinstance(value, (Row, tuple, list)))
        values = list(value)
        fits(len(values) == len(names))
    return {field.name: result(field.data_type, each) for field, each in zip(kind.fields, values)}


def null(_: DataType, value: Any) -> None:
    raise RefusedError


RULES = {
    "NULL": null,
    "BOOLEAN": boolean,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT"), integer),
    "FLOAT": single,
    "DOUBLE": double,
    "DECIMAL": decimal,
    **dict.fromkeys(("CHAR", "VARCHAR"), text),
    **dict.fromkeys(("BINARY", "VARBINARY"), binary),
    "DATE": date,
    "TIME": time,
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_LTZ"), timestamp),
    "INTERVAL_DAY_TIME": duration,
    "INTERVAL_YEAR_MONTH": lambda kind, value: (integer(kind, value), 0, 0),
    "ARRAY": array,
    **dict.fromkeys(("MAP", "MULTISET"), mapping),
    "ROW": row,
}


def same(a: Any, b: Any) -> bool:
    """Equal, of one class, with the sign of zeros; NaN is NaN."""
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    return type(a) is type(b) and bool(a == b)
