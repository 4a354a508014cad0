"""Strategies for what pandas and arrow functions could return: Series and arrays of one row, of any dtype and type."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import odd_values as odd
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st


def floating(value: float, kind: str) -> pd.Series:
    """A Series of a float that may be too large for its type, and is infinite then."""
    with np.errstate(over="ignore"):
        return pd.Series(np.array([value]).astype(kind))


plain = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1))
SERIES: list[st.SearchStrategy[pd.Series]] = [
    odd.anything.map(lambda value: pd.Series([value], dtype=object)),
    st.builds(lambda n, kind: pd.Series(np.array([n]).astype(kind)), odd.small, st.sampled_from("bhilBHIL?")),
    st.builds(floating, odd.floats, st.sampled_from("efd")),
    st.builds(lambda n: pd.Series(np.array([n])), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda n: pd.Series(np.array([n], dtype="uint64")), st.integers(0, 2**64 - 1)),
    st.builds(lambda n, kind: pd.Series([n], dtype=kind), st.integers(-100, 100), st.sampled_from(["Int8", "Int64"])),
    st.builds(lambda kind: pd.Series([pd.NA], dtype=kind), st.sampled_from(["Int8", "Int64", "boolean", "Float64", "str"])),
    st.builds(lambda n: pd.Series([n], dtype="boolean"), st.booleans()),
    st.builds(lambda n: pd.Series([n], dtype="str"), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)),
    st.builds(lambda n: pd.Series([n], dtype="category"), st.sampled_from(["ab", "abc", "", 5, 1.5, True])),
    st.builds(lambda t, unit: pd.Series([t]).astype(f"datetime64[{unit}]"), plain, st.sampled_from(["s", "ms", "us", "ns"])),
    st.builds(lambda t: pd.Series([dt.datetime(t.year, t.month, t.day)]), plain),
    st.builds(lambda t, zone: pd.Series([t]).dt.tz_localize("UTC").dt.tz_convert(zone), plain, st.sampled_from(["UTC", "Asia/Tokyo"])),
    st.builds(lambda t, unit: pd.Series([t]).astype(f"timedelta64[{unit}]"), st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)), st.sampled_from(["s", "us", "ns"])),
    st.just(pd.Series([1j])),
    st.just(pd.Series([pd.Period("2020-01")])),
    st.just(pd.Series([pd.Interval(0, 1)])),
]  # fmt: skip
series = st.one_of(*SERIES)


def of(kind: pa.DataType, values: st.SearchStrategy[Any], nulls: bool = True) -> st.SearchStrategy[pa.Array]:
    return st.builds(lambda value: pa.array([value], kind), st.one_of(values, values, st.none()) if nulls else values)


def whole(bits: int, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


def from_ticks(kind: pa.DataType, low: int, high: int) -> st.SearchStrategy[pa.Array]:
    """With a value that mostly is a round number of the larger units."""
    step = st.sampled_from([1, 10, 1000, 10**6, 10**9])
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    value = st.builds(lambda n, size: n - n % size if n - n % size >= low else n, st.integers(low, high), step)
    return st.one_of(value, st.none()).map(lambda n: pa.array([n], width).cast(kind))


SECONDS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FIRST, LAST = -62_135_596_800, 253_402_300_799
unicode = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
texts = st.one_of(unicode, st.sampled_from(["ab", "abc"]))
small = st.one_of(odd.small, st.none())
decimals = st.integers(-(10**6), 10**6)


def decimal(kind: pa.DataType) -> st.SearchStrategy[pa.Array]:
    from decimal import Decimal

    return st.one_of(st.none(), decimals).map(
        lambda n: pa.array([None if n is None else Decimal(n).scaleb(-kind.scale)], kind)
    )


ARRAYS: list[st.SearchStrategy[pa.Array]] = [
    st.just(pa.nulls(1)),
    of(pa.bool_(), st.booleans()),
    *(of(getattr(pa, f"int{bits}")(), st.one_of(st.integers(-9, 9), whole(bits, True))) for bits in (8, 16, 32, 64)),
    *(of(getattr(pa, f"uint{bits}")(), st.one_of(st.integers(0, 9), whole(bits, False))) for bits in (8, 16, 32, 64)),
    of(pa.float64(), odd.floats),
    of(pa.float32(), st.one_of(st.floats(width=32), odd.small)),
    of(pa.float16(), st.one_of(st.floats(width=16), odd.small).map(np.float16)),
    *(of(kind, texts) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *(of(kind, st.binary(max_size=4)) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
    of(pa.binary(2), st.binary(min_size=2, max_size=2)),
    *(decimal(kind) for kind in (pa.decimal32(9, 2), pa.decimal64(18, 3), pa.decimal128(38, 0), pa.decimal256(76, 20))),
    decimal(pa.decimal128(10, -2)),
    of(pa.date32(), st.dates()),
    of(pa.date64(), st.dates()),
    *(from_ticks(pa.timestamp(unit, zone), max(FIRST * n, 1 - 2**63), min(LAST * n, 2**63 - 1))
      for unit, n in SECONDS.items() for zone in (None, "UTC", "Asia/Tokyo", "+05:30")),
    *(from_ticks(pa.time32(unit), 0, 86_400 * SECONDS[unit] - 1) for unit in ("s", "ms")),
    *(from_ticks(pa.time64(unit), 0, 86_400 * SECONDS[unit] - 1) for unit in ("us", "ns")),
    *(from_ticks(pa.duration(unit), -(10**15), 10**15) for unit in SECONDS),
    st.builds(lambda *parts: pa.array([pa.MonthDayNano(parts)]), odd.small, st.sampled_from([0, 0, 1]), st.sampled_from([0, 0, 1])),
    of(pa.list_(pa.int64()), st.lists(small, max_size=3)),
    of(pa.list_(pa.bool_()), st.lists(st.booleans(), max_size=3)),
    of(pa.large_list(pa.float64()), st.lists(st.one_of(odd.floats, odd.small.map(float)), max_size=3)),
    of(pa.list_(pa.int8(), 2), st.lists(st.integers(-9, 9), min_size=2, max_size=2)),
    of(pa.list_(pa.large_list(pa.string_view())), st.lists(st.lists(texts, max_size=2), max_size=2)),
    of(pa.list_(pa.null()), st.lists(st.none(), max_size=2)),
    of(pa.list_view(pa.int32()), st.lists(small, max_size=3)),
    of(pa.map_(pa.string(), pa.int64()), st.dictionaries(texts, small, max_size=3).map(lambda d: list(d.items()))),
    of(pa.map_(pa.int16(), pa.large_string()), st.dictionaries(odd.small, texts, max_size=3).map(lambda d: list(d.items()))),
    of(pa.struct([("a", pa.int64()), ("b", pa.string())]), st.fixed_dictionaries({"a": small, "b": texts})),
    of(pa.struct([("b", pa.string()), ("a", pa.int64())]), st.fixed_dictionaries({"a": small, "b": texts})),
    of(pa.struct([("a", pa.float32())]), st.fixed_dictionaries({"a": odd.small})),
    st.just(pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([5]))),
    st.just(pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([5])])),
]  # fmt: skip
arrays = st.one_of(*ARRAYS)


def can_be_encoded(array: pa.Array) -> bool:
    kind = array.type
    return pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_decimal128(kind)


arrays = st.one_of(arrays, arrays, arrays.map(lambda each: each.dictionary_encode() if can_be_encoded(each) else each))
