"""Strategies for what a function could return: values near the edges of every type, and odd ones."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import OrderedDict, namedtuple
from decimal import Decimal
from enum import IntEnum
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from udfleet import Row


class Integer(int):
    def __str__(self) -> str:
        return "7"

    __repr__ = __str__


class Color(IntEnum):
    RED = 3


class Money(Decimal):
    def __format__(self, *_: Any) -> str:
        return "7"

    __str__ = __format__

    def is_finite(self, *_: Any) -> bool:
        return True


class Text(str):
    def __str__(self) -> str:
        return "other"


class Measure(float):
    def __float__(self) -> float:
        return 7.0


class Day(dt.date):
    pass


class Moment(dt.datetime):
    pass


class Matrix(np.ndarray):
    pass


class Narrow(np.float32):
    pass


class Index:
    def __index__(self) -> int:
        return 5


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __index__(self) -> int:
        raise ValueError("no index")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = object.__hash__


class NoZone(dt.tzinfo):
    def utcoffset(self, _: Any) -> dt.timedelta:
        raise RuntimeError("nobody knows")


class Made:
    """A value that can't be pickled, or not be shown when a test fails: unpickling makes it."""

    def __init__(self, make: Any, *args: Any) -> None:
        self.make, self.args = make, args

    def __reduce__(self) -> Any:
        return self.make, self.args

    def __repr__(self) -> str:
        return f"Made({self.make.__name__}, {self.args})"


Pair = namedtuple("Pair", "a b")

UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"]
ZONES = [
    dt.timezone.utc,
    dt.timezone(dt.timedelta(hours=14)),
    dt.timezone(-dt.timedelta(hours=23, minutes=59)),
    dt.timezone(dt.timedelta(seconds=1, microseconds=1)),
    zoneinfo.ZoneInfo("Europe/Berlin"),
    zoneinfo.ZoneInfo("America/St_Johns"),
    NoZone(),
]
EDGES = [n + d for p in (7, 15, 24, 31, 53, 63, 64, 127) for n in (2**p, -(2**p)) for d in (-1, 0, 1)]

small = st.integers(-300, 300)
huge = st.builds(Made, st.just(pow), st.just(10), st.just(5000))
integers = st.one_of(small, st.sampled_from([*EDGES, 10**38, 10**38 - 1, 2**1023, 10**400]), st.integers())
floats = st.one_of(
    st.floats(),
    st.floats(width=32),
    small.map(float),
    st.sampled_from([-0.0, 0.1, 2.0**63, -(2.0**63), 3.4028235677973366e38, 3.4028235677973362e38, 1e-46]),
)
exponents = st.one_of(st.integers(-6, 6), st.sampled_from([-40, 40, 99_999_999, -99_999_999, 10**17, -(10**17)]))
decimals = st.one_of(
    st.decimals(),
    st.decimals(places=2, min_value=-1100, max_value=1100),
    st.builds(lambda n, e: Decimal((n < 0, tuple(map(int, str(abs(n)))), e)), st.integers(-1100, 1100), exponents),
    st.sampled_from([Decimal("1" * 5000), Decimal("-0"), Decimal("sNaN"), Decimal("-Infinity"), Money("1.5")]),
)
texts = st.one_of(
    st.text(max_size=4),
    st.text(st.sampled_from("aß🚀\0\ud800\udfff\U0010ffff"), max_size=4),
    st.sampled_from(["abc", "ab", "x" * 70_000, Text("ab"), np.str_("ab")]),
)
binaries = st.one_of(
    st.binary(max_size=4), st.sampled_from([b"ab", bytearray(b"ab"), Made(memoryview, b"ab"), np.bytes_(b"ab")])
)
micros = st.one_of(st.sampled_from([0, 1000, 10, 1, 120_000, 999_999]), st.integers(0, 999_999))
times = st.one_of(st.times(), st.builds(dt.time, st.integers(0, 23), microsecond=micros, tzinfo=st.none()))
times = st.one_of(times, st.builds(lambda t: t.replace(tzinfo=dt.timezone.utc), times))
moments = st.one_of(
    st.datetimes(),
    st.sampled_from([dt.datetime.min, dt.datetime.max, dt.datetime(2262, 4, 12), dt.datetime(1677, 9, 21)]),
    st.builds(dt.datetime, st.integers(1, 9999), st.just(3), st.just(29), st.just(2), st.just(30), microsecond=micros),
    st.sampled_from([pd.Timestamp(1), pd.Timestamp(1000, tz="Asia/Tokyo"), pd.Timestamp(1, tz="UTC"), Moment(5, 1, 1)]),
)
zoned = st.builds(
    lambda t, zone, fold: t.replace(tzinfo=zone, fold=fold), st.datetimes(), st.sampled_from(ZONES), st.integers(0, 1)
)
durations = st.one_of(
    st.timedeltas(),
    st.sampled_from([dt.timedelta.max, dt.timedelta.min, pd.Timedelta(1), pd.Timedelta(1000)]),
    st.builds(dt.timedelta, microseconds=small),
)
ticks = st.one_of(small, st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from([2**62, 2**60, 10**15]))
numpys = st.one_of(
    st.builds(lambda n, kind: np.array(n).astype(kind)[()], small, st.sampled_from([*"bhilqBHILQefdg?", "S2", "U2"])),
    st.builds(np.float64, floats),
    st.builds(lambda n, unit: np.datetime64(n, unit), ticks, st.sampled_from(UNITS)),
    st.builds(lambda n, unit: np.timedelta64(n, unit), ticks, st.sampled_from([*UNITS, "generic"])),
    st.sampled_from([np.longdouble(1) / 3, np.longdouble(2) ** 64, np.complex128(1), Narrow(1.5), np.float16("nan")]),
    st.sampled_from([np.datetime64("NaT"), np.timedelta64("NaT"), np.array(5), np.array(True), np.uint64(2**64 - 1)]),
    st.sampled_from([np.datetime64("2020-01-01T00:00:00.000000001"), np.void(b"ab"), np.array([[1]])]),
)
objects = st.sampled_from(
    [None, True, False, pd.NA, pd.NaT, ..., NotImplemented, 1j, object, Made(Broken), Index(), Integer(3), Color.RED]
)
objects = st.one_of(objects, st.sampled_from([Measure(1.5), Day(2020, 1, 2), {1}, range(2), frozenset(), iter([1])]))
dates = st.one_of(st.dates(), st.sampled_from([dt.date.min, dt.date.max]))

SCALARS = [integers, huge, floats, decimals, texts, binaries, times, moments, zoned, durations, numpys, objects, dates]
scalars = st.one_of(*SCALARS)


def containers(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(items, max_size=3)
    keys = st.one_of(st.text(st.sampled_from("ab"), max_size=2), small, st.none(), st.just(b"k"))
    fields = st.fixed_dictionaries({"a": items, "b": items})
    return st.one_of(
        lists,
        lists.map(tuple),
        st.dictionaries(keys, items, max_size=3),
        st.dictionaries(st.text(max_size=2), items, max_size=3).map(OrderedDict),
        fields,
        st.fixed_dictionaries({"a": items}),
        fields.map(lambda each: Row(**each)),
        fields.map(lambda each: Pair(**each)),
        lists.map(lambda each: Row(*each)),
    )


# Of one kind: a list of anything fits no type. And what fits the tests' types for sure.
alike = st.one_of(*(containers(kind) for kind in SCALARS))
numbers = st.one_of(small, st.none(), floats.filter(lambda value: value != value or value == value // 1))
fitting = st.one_of(
    st.lists(numbers, max_size=3),
    st.lists(small, max_size=3).map(np.array),
    st.lists(small, min_size=1, max_size=3).map(lambda values: np.array(values).view(Matrix)),
    st.lists(st.lists(texts, max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), numbers, max_size=3),
    st.fixed_dictionaries({"a": numbers, "b": st.one_of(texts, st.none())}),
    st.tuples(numbers, texts),
    st.builds(Row, numbers, texts),
    st.fixed_dictionaries({"a": st.one_of(numbers, st.sampled_from([pd.NA, pd.NaT]))}),
)
anything = st.one_of(scalars, scalars, alike, fitting, containers(containers(scalars)))
