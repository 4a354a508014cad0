"""What becomes of a Series or an array of one row that a function returns, after docs/types.md."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa
from type_oracle import BITS, fits, is_missing, mapping, moment, result, with_utc

from udfleet import DataType

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
INTEGERS = {"TINYINT", "SMALLINT", "INT", "BIGINT"}
FLOATS = {"FLOAT", "DOUBLE"}
TAKES = {
    "truth": {"BOOLEAN", *INTEGERS, *FLOATS},
    "integer": {*INTEGERS, *FLOATS, "DECIMAL"},
    "float": {*INTEGERS, *FLOATS},
    "decimal": {"DECIMAL"},
    "text": {"CHAR", "VARCHAR"},
    "bytes": {"BINARY", "VARBINARY"},
    "date": {"DATE"},
    "time": {"TIME"},
    "naive": {"TIMESTAMP"},
    "zoned": {"TIMESTAMP_LTZ"},
    "duration": {"INTERVAL_DAY_TIME"},
    "months": {"INTERVAL_YEAR_MONTH"},
}


def point(kind: DataType, ticks: int, unit: str) -> Any:
    """A date, time, timestamp or duration that is held as a number."""
    seconds = Fraction(ticks, PER_SECOND[unit])
    if kind.root == "DATE":
        fits(seconds % 86_400 == 0)
        return moment(seconds, 0).date()
    if kind.root == "INTERVAL_DAY_TIME":
        fits(seconds * 10**6 % 1 == 0)
        fits(-(2**63) <= seconds * 10**6 < 2**63)
        return dt.timedelta(microseconds=int(seconds * 10**6))
    if kind.root == "TIME":
        fits(seconds * 10**kind.precision % 1 == 0)
        return (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=int(seconds * 10**6))).time()
    found = moment(seconds, kind.precision)
    return with_utc(found) if kind.root == "TIMESTAMP_LTZ" else found


def dtype_of(series: pd.Series) -> str:
    dtype = series.cat.categories.dtype if isinstance(series.dtype, pd.CategoricalDtype) else series.dtype
    if isinstance(dtype, pd.StringDtype) or (dtype == "object" and isinstance(series.iloc[0], str)):
        return "text"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "zoned"
    kinds = {"b": "truth", "i": "integer", "u": "integer", "f": "float", "M": "naive", "m": "duration"}
    return kinds.get(getattr(dtype, "kind", ""), "") if not isinstance(dtype, pd.PeriodDtype) else ""


def is_signalling(value: Any) -> bool:
    """pandas itself fails at such NaNs."""
    return isinstance(value, Decimal) and value.is_snan()


def of_series(kind: DataType, series: pd.Series) -> Any:
    missing = not is_signalling(series.iloc[0]) and bool(series.isna().iloc[0])
    if series.dtype == "object" or kind.root == "INTERVAL_YEAR_MONTH":
        return result(kind, None if missing else series.tolist()[0])
    held = dtype_of(series)
    fits(held and kind.root in (TAKES[held] | {"DATE"} if held == "naive" else TAKES[held]))
    if missing:
        return result(kind, None)
    if held in ("naive", "zoned", "duration"):
        return point(kind, int(series.astype("int64").iloc[0]), series.dt.unit)
    return result(kind, series.iloc[0])


def carrier(kind: pa.DataType) -> str:
    checks = {
        "truth": pa.types.is_boolean,
        "integer": pa.types.is_integer,
        "float": pa.types.is_floating,
        "decimal": pa.types.is_decimal,
        "date": pa.types.is_date,
        "time": pa.types.is_time,
        "duration": pa.types.is_duration,
        "months": pa.types.is_interval,
    }
    if pa.types.is_timestamp(kind):
        return "naive" if kind.tz is None else "zoned"
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return "text"
    if pa.types.is_fixed_size_binary(kind) or kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        return "bytes"
    return next((name for name, check in checks.items() if check(kind)), "")


def is_alike(kind: DataType, held: pa.DataType) -> bool:
    """Whether arrays of that type are taken at all."""
    if pa.types.is_null(held):
        return True
    if name := carrier(held):
        return kind.root in TAKES[name]
    if pa.types.is_map(held) and kind.root in ("MAP", "MULTISET"):
        key, value = (kind.key, kind.element) if kind.root == "MAP" else (kind.element, DataType("INT"))
        return is_alike(key, held.key_type) and is_alike(value, held.item_type)
    if pa.types.is_struct(held):
        names = sorted(field.name for field in kind.fields) if kind.root == "ROW" else None
        return names == sorted(field.name for field in held) and all(
            is_alike(field.data_type, held.field(field.name).type) for field in kind.fields
        )
    lists = pa.types.is_list(held) or pa.types.is_large_list(held) or pa.types.is_fixed_size_list(held)
    return lists and kind.root == "ARRAY" and is_alike(kind.element, held.value_type)


def of_array(kind: DataType, array: pa.Array) -> Any:
    array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    fits(is_alike(kind, array.type))
    held = array.type
    if pa.types.is_null(held) or not array[0].is_valid:
        return result(kind, None)
    if pa.types.is_date(held):
        return array[0].as_py()
    if pa.types.is_temporal(held) and not pa.types.is_interval(held):
        width = pa.int32() if held.bit_width == 32 else pa.int64()
        return point(kind, array.cast(width)[0].as_py(), held.unit)
    value = array[0].as_py()
    if pa.types.is_interval(held):
        fits(value.days == 0 and value.nanoseconds == 0)
        fits(abs(value.months) < 1 << BITS[kind.root] - 1)
        return tuple(value)
    if pa.types.is_map(held):
        fits(not any(is_missing(key) for key, _ in value))
        return mapping(kind, dict(value))
    return result(kind, value)
