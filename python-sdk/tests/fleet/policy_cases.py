"""What converts to what: for results of every func_type on a fleet, and for arguments in the client."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from udfleet import Row

UTC = dt.timezone.utc
TOKYO = dt.timezone(dt.timedelta(hours=9))
REFUSED = object()


class Integer(int):
    pass


class Text(str):
    pass


class Money(Decimal):
    pass


class Day(dt.date):
    pass


class Case(NamedTuple):
    """A value that a function returns or is given; for pandas in a Series, for arrow in an array of pyarrow."""

    type: str
    value: Any
    expected: Any
    kinds: str = "gpa"
    """General, pandas, arrow: those that can return such a value at all."""


CASES = [
    *(Case("BIGINT", value, value) for value in (0, -(2**63), 2**63 - 1, 2**53 + 1)),
    Case("BIGINT", True, 1),
    Case("BIGINT", 2.0, 2),
    Case("BIGINT", -0.0, 0),
    Case("BIGINT", Integer(4), 4),
    Case("BIGINT", np.int8(-5), -5),
    Case("BIGINT", np.uint64(7), 7),
    Case("BIGINT", np.float32(3), 3),
    Case("BIGINT", np.bool_(True), 1, "g"),
    Case("BIGINT", None, None),
    *(Case("BIGINT", value, REFUSED) for value in (1.9, math.inf, 1e19, "1", b"1", Decimal(1), np.uint64(2**63))),
    *(Case("BIGINT", value, REFUSED, "g") for value in (2**63, -(2**63) - 1, 10**5000, [1], {}, object(), 1j, ...)),
    Case("BIGINT", math.nan, REFUSED, "ga"),
    Case("BIGINT", math.nan, None, "p"),
    Case("BIGINT", dt.date(2020, 1, 1), REFUSED),
    Case("TINYINT", 127, 127),
    *(Case("TINYINT", value, REFUSED) for value in (128, -129, 127.5)),
    Case("SMALLINT", -32768, -32768),
    Case("SMALLINT", 32768, REFUSED),
    Case("INT", 2**31 - 1, 2**31 - 1),
    Case("INT", 2**31, REFUSED),
    Case("BOOLEAN", True, True),
    Case("BOOLEAN", np.bool_(False), False),
    *(Case("BOOLEAN", value, REFUSED) for value in (1, 0, 1.0, "true", b"")),
    Case("DOUBLE", 1, 1.0),
    Case("DOUBLE", True, 1.0),
    Case("DOUBLE", -math.inf, -math.inf),
    Case("DOUBLE", math.nan, math.nan, "ga"),
    Case("DOUBLE", math.nan, None, "p"),
    Case("DOUBLE", np.float16(0.5), 0.5),
    *(Case("DOUBLE", value, REFUSED) for value in (2**53 + 1, "1.0", Decimal("1.5"))),
    Case("DOUBLE", 10**400, REFUSED, "g"),
    Case("FLOAT", 0.1, float(np.float32(0.1))),
    Case("FLOAT", 2**24, 2.0**24),
    *(Case("FLOAT", value, REFUSED) for value in (1e39, 2**24 + 1, "1")),
    Case("DECIMAL(5, 2)", Decimal("1.20"), Decimal("1.20")),
    Case("DECIMAL(5, 2)", Decimal("-999.9900"), Decimal("-999.99")),
    Case("DECIMAL(5, 2)", Decimal("1E+2"), Decimal(100), "gp"),
    Case("DECIMAL(5, 2)", Money("1.5"), Decimal("1.50"), "gp"),
    Case("DECIMAL(5, 2)", 7, Decimal(7)),
    *(Case("DECIMAL(5, 2)", value, REFUSED) for value in (Decimal("1.234"), 1000, 1.5, "1.5", Decimal("1000.00"))),
    *(Case("DECIMAL(5, 2)", Decimal(value), REFUSED, "g") for value in ("NaN", "sNaN", "-Infinity")),
    Case("DECIMAL(38, 0)", 10**38 - 1, Decimal(10**38 - 1), "g"),
    Case("DECIMAL(38, 0)", 10**38, REFUSED, "g"),
    *(Case("VARCHAR(3)", value, str(value)) for value in ("", "abc", "äöü", "🚀🚀🚀", Text("ab"), np.str_("ab"))),
    *(Case("VARCHAR(3)", value, REFUSED) for value in ("abcd", 1, b"a", True)),
    Case("VARCHAR(3)", "\ud800", REFUSED, "g"),
    Case("CHAR(2)", "ab", "ab"),
    *(Case("CHAR(2)", value, REFUSED) for value in ("a", "abc", "")),
    *(Case("BYTES", value, b"ab", "gp") for value in (b"ab", bytearray(b"ab"), memoryview(b"ab"), np.bytes_(b"ab"))),
    *(Case("BYTES", value, REFUSED) for value in ("ab", 1)),
    Case("BINARY(2)", b"ab", b"ab"),
    *(Case("BINARY(2)", value, REFUSED) for value in (b"a", b"abc", "ab")),
    Case("VARBINARY(2)", b"abc", REFUSED),
    *(Case("DATE", value, value) for value in (dt.date.min, dt.date.max, dt.date(1969, 12, 31))),
    Case("DATE", Day(2020, 1, 2), dt.date(2020, 1, 2)),
    *(Case("DATE", value, REFUSED) for value in (dt.datetime(2020, 1, 1, 5), "2020-01-01", 18262)),
    Case("DATE", dt.datetime(2020, 1, 1), REFUSED, "ga"),
    Case("DATE", dt.datetime(2020, 1, 1), dt.date(2020, 1, 1), "p"),
    Case("TIME(0)", dt.time(23, 59, 59), dt.time(23, 59, 59)),
    *(Case("TIME(0)", value, REFUSED) for value in (dt.time(1, 2, 3, 4), "01:02:03", 1)),
    Case("TIME(0)", dt.time(1, 2, 3, tzinfo=UTC), REFUSED, "gp"),
    Case("TIME(2)", dt.time(1, 2, 3, 120_000), dt.time(1, 2, 3, 120_000)),
    Case("TIME(2)", dt.time(1, 2, 3, 123_000), REFUSED),
    *(Case("TIMESTAMP(6)", value, value) for value in (dt.datetime.min, dt.datetime.max, dt.datetime(2040, 1, 1))),
    Case("TIMESTAMP(3)", np.datetime64("2020-01-01T00:00:00.001"), dt.datetime(2020, 1, 1, 0, 0, 0, 1000)),
    *(Case("TIMESTAMP(3)", value, REFUSED) for value in (dt.datetime(2020, 1, 1, microsecond=1), "2020-01-01", 0)),
    Case("TIMESTAMP(3)", dt.datetime(2020, 1, 1, tzinfo=TOKYO), REFUSED),
    Case("TIMESTAMP(3)", dt.date(2020, 1, 1), REFUSED),
    Case("TIMESTAMP_LTZ(3)", dt.datetime(2020, 1, 1, 9, tzinfo=TOKYO), dt.datetime(2020, 1, 1, tzinfo=UTC)),
    Case("TIMESTAMP_LTZ(3)", dt.datetime(2020, 1, 1), REFUSED),
    Case("INTERVAL DAY TO SECOND", dt.timedelta(microseconds=-1), dt.timedelta(microseconds=-1)),
    *(Case("INTERVAL DAY TO SECOND", value, REFUSED) for value in (1, "1")),
    Case("INTERVAL YEAR TO MONTH", -14, (-14, 0, 0), "gp"),
    Case("INTERVAL YEAR TO MONTH", 2**31, REFUSED, "gp"),
    *(Case("ARRAY<INT>", value, [1, None]) for value in ([1, None], (1, None))),
    Case("ARRAY<INT>", np.array([1, 2]), [1, 2]),
    Case("ARRAY<INT>", [], []),
    *(Case("ARRAY<INT>", value, REFUSED) for value in ([1.5], [2**31], "ab", [[1]], ["1"])),
    *(Case("ARRAY<INT>", value, REFUSED, "gp") for value in ({1}, {1: 2}, range(2))),
    Case("ARRAY<INT NOT NULL>", [1, None], REFUSED),
    Case("ARRAY<VARCHAR(2)>", ["abc"], REFUSED),
    Case("ARRAY<FLOAT>", [0.5, 1e39], REFUSED),
    Case("MAP<STRING, INT>", {"a": 1, "b": None}, [("a", 1), ("b", None)], "gp"),
    *(Case("MAP<STRING, INT>", value, REFUSED, "gp") for value in ({None: 1}, [("a", 1)], {1: 1}, {"a": 1.5}, "a")),
    Case("MULTISET<STRING>", {"a": 2}, [("a", 2)], "gp"),
    *(Case("MULTISET<STRING>", value, REFUSED, "gp") for value in ({"a": None}, ["a"])),
    Case("ROW<a INT, b STRING>", Row(a=1, b="x"), {"a": 1, "b": "x"}, "gp"),
    Case("ROW<a INT, b STRING>", Row(1, "x"), {"a": 1, "b": "x"}, "gp"),
    Case("ROW<a INT, b STRING>", (1, "x"), {"a": 1, "b": "x"}, "gp"),
    Case("ROW<a INT, b STRING>", {"a": 1, "b": "x"}, {"a": 1, "b": "x"}),
    Case("ROW<a INT, b STRING>", {"b": "x", "a": 1}, {"a": 1, "b": "x"}, "gp"),
    *(
        Case("ROW<a INT, b STRING>", value, REFUSED)
        for value in ({"a": 1}, {"a": 1, "b": "x", "c": 2}, {"a": 1, "b": 2})
    ),
    *(Case("ROW<a INT, b STRING>", value, REFUSED, "gp") for value in ((1,), (1, "x", 2), 1, "ax", Row(a=1, c="x"))),
    Case("ROW<a INT NOT NULL>", {"a": None}, REFUSED),
    Case("BIGINT NOT NULL", None, REFUSED),
    Case("NULL", None, None),
    Case("NULL", 1, REFUSED),
]

BY_TYPE: dict[str, list[Case]] = defaultdict(list)
for case in CASES:
    BY_TYPE[case.type].append(case)
