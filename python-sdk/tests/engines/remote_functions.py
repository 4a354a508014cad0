"""Functions that udfleet, arrow-udf and databend-udf serve alike, with each one's words for their types.

Nothing but the standard library: the servers run in an environment of their own.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple


class Types(NamedTuple):
    """Inputs and result. None: that server has no word for one of them."""

    udfleet: tuple[list[str], str]
    arrow_udf: tuple[list[str], Any] | None
    databend: tuple[list[str], Any] | None


class Remote(NamedTuple):
    body: Callable[..., Any]
    types: Types
    table: bool = False


def _one_word(*words: str | None) -> Types:
    """A function from a type to the same type."""
    return Types(*(None if word is None else ([word], word) for word in words))


def same(value):
    return value


# Name: type in udfleet, arrow-udf and databend-udf, and values of it.
SAME = {
    "boolean": (_one_word("BOOLEAN", "BOOLEAN", "BOOLEAN"), [True, None, False]),
    "tinyint": (_one_word("TINYINT", "TINYINT", "TINYINT"), [-128, None, 127]),
    "smallint": (_one_word("SMALLINT", "SMALLINT", "SMALLINT"), [-32768, None, 32767]),
    "int": (_one_word("INT", "INT", "INT"), [-(2**31), None, 2**31 - 1]),
    "bigint": (_one_word("BIGINT", "BIGINT", "BIGINT"), [-(2**63), None, 2**63 - 1]),
    "float": (_one_word("FLOAT", "REAL", "FLOAT"), [1.5, None, -math.inf]),
    "double": (_one_word("DOUBLE", "DOUBLE PRECISION", "DOUBLE"), [0.1, None, 1e308]),
    "varchar": (_one_word("STRING", "VARCHAR", "VARCHAR"), ["", None, "grüße \U0001f600"]),
    "bytes": (_one_word("BYTES", "BYTEA", "BINARY"), [b"", None, b"\x00\xff"]),
    "decimal": (
        _one_word("DECIMAL(20, 5)", "DECIMAL", "DECIMAL(20, 5)"),
        [Decimal("-1.00000"), None, Decimal("123456789012345.12345"), Decimal("0.00001")],
    ),
    "date": (_one_word("DATE", "DATE", "DATE"), [datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)]),
    "time": (_one_word("TIME(6)", "TIME", None), [datetime.time(0), None, datetime.time(23, 59, 59, 999_999)]),
    "timestamp": (
        _one_word("TIMESTAMP(6)", "TIMESTAMP", "TIMESTAMP"),
        [datetime.datetime(1969, 12, 31, 23, 59, 59, 1), None, datetime.datetime(2026, 1, 2, 3, 4, 5, 678_901)],
    ),
    "interval": (_one_word("INTERVAL YEAR TO MONTH", "INTERVAL", None), [(14, 0, 0), None, (-1, 0, 0)]),
    "array": (_one_word("ARRAY<INT>", "INT[]", "ARRAY(INT NULL)"), [[1, None, 3], None, []]),
    "decimals": (
        _one_word("ARRAY<DECIMAL(20, 5)>", "DECIMAL[]", "ARRAY(DECIMAL(20, 5) NULL)"),
        [[Decimal("1.50000"), None], None, []],
    ),
    "row": (
        _one_word("ROW<a INT, b STRING>", "STRUCT<a:INT, b:VARCHAR>", "TUPLE(INT NULL, VARCHAR NULL)"),
        [{"a": 1, "b": "x"}, None, {"a": None, "b": None}],
    ),
    "rows": (
        _one_word("ARRAY<ROW<a INT, b ARRAY<STRING>>>", "STRUCT<a:INT, b:VARCHAR[]>[]", None),
        [[{"a": 1, "b": ["x", None]}, {"a": None, "b": None}], None, []],
    ),
    "map": (_one_word("MAP<STRING, INT>", None, "MAP(VARCHAR, INT NULL)"), [[("a", 1), ("b", None)], None, []]),
}


def gcd(x, y):
    while y:
        x, y = y, x % y
    return x


def joined(text, number, truth):
    return None if text is None else f"{text}/{number}/{truth}"


def fortytwo():
    return 42


def cents(price):
    return None if price is None else price * 3


def series(n):
    yield from range(n or 0)


def words(text):
    for word in (text or "").split():
        yield word, len(word)


def picky(a):
    if a is not None and a < 0:
        raise ValueError(f"{a} is negative")
    return a


def gated(path):
    """Returns when the file exists."""
    while not Path(path).exists():
        time.sleep(0.005)
    return path


_INT2 = ["INT", "INT"]
_BIGINT = ["BIGINT"]
OTHERS = {
    "gcd": Remote(gcd, Types((_INT2, "INT"), (_INT2, "INT"), (_INT2, "INT"))),
    "joined": Remote(
        joined,
        Types(
            (["STRING", "BIGINT", "BOOLEAN"], "STRING"),
            (["VARCHAR", "BIGINT", "BOOLEAN"], "VARCHAR"),
            (["VARCHAR", "BIGINT", "BOOLEAN"], "VARCHAR"),
        ),
    ),
    "fortytwo": Remote(fortytwo, Types(([], "BIGINT"), ([], "BIGINT"), ([], "BIGINT"))),
    "cents": Remote(
        cents,
        Types((["DECIMAL(10, 2)"], "DECIMAL(12, 2)"), (["DECIMAL"], "DECIMAL"), (["DECIMAL(10, 2)"], "DECIMAL(12, 2)")),
    ),
    # databend-udf takes the rows of tables as sequences or mappings only.
    "series": Remote(series, Types((["INT"], "INT"), (["INT"], "INT"), None), table=True),
    "words": Remote(
        words,
        Types(
            (["STRING"], "ROW<word STRING, length BIGINT>"),
            (["VARCHAR"], ["VARCHAR", "BIGINT"]),
            (["VARCHAR"], [("word", "VARCHAR"), ("length", "BIGINT")]),
        ),
        table=True,
    ),
    "picky": Remote(picky, Types((_BIGINT, "BIGINT"), (_BIGINT, "BIGINT"), (_BIGINT, "BIGINT"))),
    "gated": Remote(gated, Types((["STRING"], "STRING"), (["VARCHAR"], "VARCHAR"), (["VARCHAR"], "VARCHAR"))),
}

FUNCTIONS = {**{f"same_{name}": Remote(same, types) for name, (types, _) in SAME.items()}, **OTHERS}
