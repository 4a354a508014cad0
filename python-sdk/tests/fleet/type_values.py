"""Random values of every type, with the edges far more often than chance would have them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa

from udfleet import DataType
from udfleet.types.arrow import to_arrow
from udfleet.types.sql import parse

SCALARS = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL(38, 18)",
    "DECIMAL(5, 0)",
    "CHAR(3)",
    "VARCHAR(5)",
    "STRING",
    "BINARY(4)",
    "VARBINARY(4)",
    "BYTES",
    "DATE",
    "TIME(0)",
    "TIME(2)",
    "TIME(6)",
    "TIMESTAMP(0)",
    "TIMESTAMP(2)",
    "TIMESTAMP(3)",
    "TIMESTAMP(6)",
    "TIMESTAMP(9)",
    "TIMESTAMP_LTZ(3)",
    "TIMESTAMP_LTZ(6)",
    "INTERVAL DAY TO SECOND",
    "INTERVAL YEAR TO MONTH",
]
NESTED = [
    "ARRAY<BIGINT>",
    "ARRAY<DOUBLE>",
    "ARRAY<TIMESTAMP(6)>",
    "ARRAY<ARRAY<STRING>>",
    "MAP<STRING, BIGINT>",
    "MAP<DATE, ARRAY<DECIMAL(10, 2)>>",
    "MULTISET<STRING>",
    "ROW<a BIGINT, b STRING>",
    "ROW<a ROW<b TIME(3), c ARRAY<BOOLEAN>>, d DOUBLE>",
    "ARRAY<ROW<a TIMESTAMP_LTZ(3), b BYTES>>",
]
EVERY_TYPE = ["NULL", *SCALARS, *NESTED, *(f"{name} NOT NULL" for name in ("BIGINT", "STRING", "ARRAY<INT NOT NULL>"))]

_EPOCH = dt.datetime(1970, 1, 1)
_FIRST, _LAST = dt.datetime.min, dt.datetime.max
_LETTERS = ["a", "Z", "ß", "中", "🚀", "\0", " ", "'", '"', "\n", "\u202e"]
_WIDTH = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64, "INTERVAL_YEAR_MONTH": 32}


def _integer(bits: int) -> Callable[[Random], int]:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    edges = [
        low,
        high,
        0,
        1,
        -1,
        low + 1,
        high - 1,
        *(x for x in (1 << 53, (1 << 53) + 1, -(1 << 53) - 1) if bits == 64),
    ]
    return lambda rng: rng.choice(edges) if rng.random() < 0.2 else rng.randint(low, high)


def _double(rng: Random) -> float:
    edges = [0.0, -0.0, 1.5, float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, 0.1, 2.0**53 + 2]
    return rng.choice(edges) if rng.random() < 0.2 else rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300)


def _single(rng: Random) -> float:
    import struct

    edges = [0.0, -0.0, 1.5, float("inf"), 1.401298464324817e-45, 3.4028234663852886e38]
    if rng.random() < 0.2:
        return rng.choice(edges)
    (value,) = struct.unpack("f", struct.pack("f", rng.uniform(-1, 1) * 10.0 ** rng.randint(-37, 37)))
    return float(value)


def _decimal(precision: int, scale: int) -> Callable[[Random], Decimal]:
    most = 10**precision - 1

    def one(rng: Random) -> Decimal:
        digits = rng.choice([most, -most, 0, 1]) if rng.random() < 0.2 else rng.randint(-most, most)
        sign, text = ("-" if digits < 0 else ""), str(abs(digits)).rjust(scale + 1, "0")
        return Decimal(f"{sign}{text[: len(text) - scale]}.{text[len(text) - scale :]}" if scale else f"{sign}{text}")

    return one


def _text(shortest: int, longest: int) -> Callable[[Random], str]:
    return lambda rng: "".join(rng.choices(_LETTERS, k=rng.randint(shortest, longest)))


def _bytes(shortest: int, longest: int) -> Callable[[Random], bytes]:
    return lambda rng: rng.randbytes(rng.randint(shortest, longest))


def _date(rng: Random) -> dt.date:
    edges = [dt.date.min, dt.date.max, dt.date(1969, 12, 31), dt.date(2038, 1, 19), dt.date(1900, 2, 28)]
    return rng.choice(edges) if rng.random() < 0.2 else dt.date.fromordinal(rng.randint(1, dt.date.max.toordinal()))


def _step(digits: int) -> int:
    return int(10 ** (6 - min(digits, 6)))


def _time(digits: int) -> Callable[[Random], dt.time]:
    def one(rng: Random) -> dt.time:
        micros = rng.choice([0, 86_399_999_999]) if rng.random() < 0.2 else rng.randrange(86_400_000_000)
        seconds, micros = divmod(micros - micros % _step(digits), 1_000_000)
        return dt.time(seconds // 3600, seconds // 60 % 60, seconds % 60, micros)

    return one


def _timestamp(digits: int, zone: dt.tzinfo | None) -> Callable[[Random], dt.datetime]:
    # Nanoseconds since 1970 reach from 1677 to 2262 only.
    first, last = (dt.datetime(1678, 1, 1), dt.datetime(2262, 1, 1)) if digits > 6 else (_FIRST, _LAST)
    span = (last - first) // dt.timedelta(microseconds=1)

    def one(rng: Random) -> dt.datetime:
        edges = [first, last, _EPOCH, dt.datetime(1969, 12, 31, 23, 59, 59), dt.datetime(2038, 1, 19, 3, 14, 8)]
        value = rng.choice(edges) if rng.random() < 0.2 else first + dt.timedelta(microseconds=rng.randrange(span))
        return value.replace(microsecond=value.microsecond - value.microsecond % _step(digits), tzinfo=zone)

    return one


def _duration(rng: Random) -> dt.timedelta:
    edges = [dt.timedelta(0), dt.timedelta(microseconds=-1), dt.timedelta(days=100_000_000)]
    return rng.choice(edges) if rng.random() < 0.2 else dt.timedelta(microseconds=rng.randint(-(10**17), 10**17))


def generator(data_type: DataType | str, nulls: float = 0.05) -> Callable[[Random], Any]:
    """Makes values of the type; of a nullable one, that share of them `None`."""
    kind = parse(data_type) if isinstance(data_type, str) else data_type
    value = _generator(kind)
    if not kind.is_nullable:
        return value
    return lambda rng: None if rng.random() < nulls else value(rng)


def column(data_type: DataType, rng: Random, rows: int, nulls: float = 0.05) -> pa.Array:
    """A column of the type, with what its generator makes."""
    make = generator(data_type, nulls)
    values = [make(rng) for _ in range(rows)]
    if data_type.root == "INTERVAL_YEAR_MONTH":
        values = [None if months is None else (months, 0, 0) for months in values]
    return pa.array(values, to_arrow(data_type))


def _generator(kind: DataType) -> Callable[[Random], Any]:
    root = kind.root
    if root in _WIDTH:
        return _integer(_WIDTH[root])
    if root == "DECIMAL":
        return _decimal(kind.precision, kind.scale)
    if root in ("CHAR", "BINARY"):
        return (_text if root == "CHAR" else _bytes)(kind.length, kind.length)
    if root in ("VARCHAR", "VARBINARY"):
        return (_text if root == "VARCHAR" else _bytes)(0, min(kind.length, 12))
    if root == "TIME":
        return _time(kind.precision)
    if root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return _timestamp(kind.precision, dt.timezone.utc if root == "TIMESTAMP_LTZ" else None)
    simple: dict[str, Callable[[Random], Any]] = {
        "NULL": lambda rng: None,
        "BOOLEAN": lambda rng: rng.random() < 0.5,
        "FLOAT": _single,
        "DOUBLE": _double,
        "DATE": _date,
        "INTERVAL_DAY_TIME": _duration,
    }
    return simple[root] if root in simple else _nested(kind)


def _nested(kind: DataType) -> Callable[[Random], Any]:
    if kind.root == "ROW":
        fields = [(field.name, generator(field.data_type)) for field in kind.fields]
        return lambda rng: {name: value(rng) for name, value in fields}
    element = generator(kind.element)
    if kind.root == "ARRAY":
        return lambda rng: [element(rng) for _ in range(rng.randint(0, 4))]
    if kind.root == "MULTISET":
        key = generator(kind.element, nulls=0)
        return lambda rng: {key(rng): rng.randint(1, 9) for _ in range(rng.randint(0, 3))}
    key = generator(kind.key, nulls=0)
    return lambda rng: {key(rng): element(rng) for _ in range(rng.randint(0, 3))}
