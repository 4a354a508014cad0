"""SQL's built-in functions and aggregates, order, limits and unions, on a fleet."""

from __future__ import annotations

import datetime
import math
import random
import re
import statistics
from decimal import Decimal

import pyarrow as pa
import pytest
from fleet_support import BIGINT, failure_of

import udfleet
from udfleet import InvalidInputError, InvalidPlanError, call, col, udf

TEXTS = ["Hello", "", None, "  padded ", "Straße", "ÅNGSTRÖM", "a%b_c", "x" * 50]


@pytest.fixture(scope="module")
def texts(fleet):
    return fleet.from_arrow(pa.table({"s": TEXTS, "n": range(len(TEXTS))}))


def column(table, expression):
    return table.select(f"{expression} as x").to_arrow().column("x").to_pylist()


def each(function):
    return [None if text is None else function(text) for text in TEXTS]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("upper(s)", each(str.upper)),
        ("LOWER(s)", each(str.lower)),
        ("trim(s)", each(lambda s: s.strip(" "))),
        ("ltrim(s)", each(lambda s: s.lstrip(" "))),
        ("rtrim(s, 'xd ')", each(lambda s: s.rstrip("xd "))),
        ("char_length(s)", each(len)),
        ("substring(s, 2, 3)", each(lambda s: s[1:4])),
        ("substring(s FROM -3)", each(lambda s: s[-3:] if len(s) >= 3 else "")),
        ("concat(s, '-', s)", each(lambda s: f"{s}-{s}")),
        ("replace(s, 'l', 'LL')", each(lambda s: s.replace("l", "LL"))),
        ("position('l' IN s)", each(lambda s: s.find("l") + 1)),
        ("reverse(s)", each(lambda s: s[::-1])),
        ("repeat(s, 3)", each(lambda s: s * 3)),
        ("lpad(s, 8, '*.')", each(lambda s: s[:8] if len(s) >= 8 else ("*." * 8)[: 8 - len(s)] + s)),
        ("rpad(s, 3, '*')", each(lambda s: s[:3].ljust(3, "*"))),
        ("starts_with(s, 'He')", each(lambda s: s.startswith("He"))),
        ("s LIKE '%a%'", each(lambda s: "a" in s)),
        ("s NOT LIKE 'H_llo'", each(lambda s: s != "Hello")),
        ("s LIKE 'a\\\\%b%'", each(lambda s: s.startswith("a%b"))),
        ("coalesce(s, 'none')", [text if text is not None else "none" for text in TEXTS]),
        ("nullif(s, '')", [text or None for text in TEXTS]),
        ("CASE WHEN s = '' THEN 'empty' WHEN s IS NULL THEN 'null' ELSE 'text' END",
         ["null" if text is None else "text" if text else "empty" for text in TEXTS]),
        ("CASE n WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", [{1: "one", 2: "two"}.get(n) for n in range(len(TEXTS))]),
        ("n BETWEEN 2 AND 4", [2 <= n <= 4 for n in range(len(TEXTS))]),
        ("upper('constant')", ["CONSTANT"] * len(TEXTS)),
    ],
)  # fmt: skip
def test_texts(texts, expression, expected):
    assert column(texts, expression) == expected


def test_numbers(fleet):
    values = [0.0, 2.5, -2.5, 1e18, None, -0.25]
    table = fleet.from_arrow(pa.table({"x": values, "i": pa.array([3, -3, 0, 7, None, -1], pa.int32())}))
    whole = [None if v is None else v for v in values]
    assert column(table, "abs(i)") == [3, 3, 0, 7, None, 1]
    assert column(table, "ceil(x)") == [None if v is None else float(math.ceil(v)) for v in whole]
    assert column(table, "floor(x)") == [None if v is None else float(math.floor(v)) for v in whole]
    assert column(table, "round(x)") == [0.0, 3.0, -3.0, 1e18, None, 0.0]
    assert column(table, "round(x, 1)") == [0.0, 2.5, -2.5, 1e18, None, -0.3]
    assert column(table, "sign(i)") == [1, -1, 0, 1, None, -1]
    assert column(table, "sqrt(abs(x))")[:2] == [0.0, math.sqrt(2.5)]
    assert column(table, "power(i, 2)") == [9.0, 9.0, 0.0, 49.0, None, 1.0]
    assert column(table, "mod(i, 2)") == [1, -1, 0, 1, None, -1]
    assert column(table, "greatest(i, 0, 1)") == [3, 1, 1, 7, None, 1]
    assert column(table, "least(i, 0)") == [0, -3, 0, 0, None, -1]
    error = failure_of(InvalidInputError, column, fleet.from_arrow(pa.table({"i": [-(2**63)]})), "abs(i)")
    assert error.row == 0 and error.expression == "abs(i)"


def test_parts_of_times(fleet):
    moments = [datetime.datetime(2024, 2, 29, 23, 59, 58), datetime.datetime(1969, 12, 31, 1, 2, 3), None]
    table = fleet.from_arrow(pa.table({"t": pa.array(moments, pa.timestamp("us"))}))
    names = {"year": "year", "month": "month", "hour": "hour", "minute": "minute", "second": "second"}
    for part, attribute in names.items():
        expected = [None if t is None else getattr(t, attribute) for t in moments]
        assert column(table, f"EXTRACT({part} FROM t)") == column(table, f"{part}(t)") == expected
    assert column(table, "dayofmonth(t)") == [29, 31, None]
    assert column(table, "EXTRACT(DOY FROM t)") == [60, 365, None]
    assert column(table, "EXTRACT(DOW FROM t)") == [5, 4, None], "Sunday is 1"
    assert column(table, "quarter(t)") == [1, 4, None] and column(table, "week(t)") == [9, 1, None]
    error = failure_of(InvalidPlanError, column, table, "EXTRACT(CENTURY FROM t)")
    assert "CENTURY" in error.message


def test_a_branch_is_computed_for_its_own_rows_only(fleet):
    table = fleet.from_elements([(10, 2, "7"), (1, 0, "x")], ["a", "b", "s"])
    assert column(table, "CASE WHEN b <> 0 THEN a / b END") == [5, None]
    assert column(table, "if_then_else(s LIKE '7%', CAST(s AS INT), -1)") == [7, -1]
    assert column(table, "coalesce(nullif(b, 0), a / (b + 1))") == [2, 1]
    error = failure_of(InvalidInputError, column, table, "CASE WHEN b = 0 THEN a / b END")
    assert error.row == 1


def test_registered_functions_go_before_built_in_ones(fleet):
    table = fleet.from_elements([("a",)], ["s"])
    assert column(table, "reverse(s)") == ["a"]
    fleet.register_function("reverse", udf(lambda s: s + "!", "STRING", "STRING"))
    try:
        assert column(table, "reverse(s)") == ["a!"]
    finally:
        fleet.drop_function("reverse")


def test_aggregates_agree_with_plain_python(fleet):
    rng = random.Random(7)
    rows = [(rng.choice("abc"), rng.choice([None, *range(-5, 6)]), rng.random()) for _ in range(5000)]
    batches = [
        pa.record_batch(
            {
                "k": pa.array([k for k, _, _ in part]),
                "v": pa.array([v for _, v, _ in part], pa.int32()),
                "x": pa.array([x for _, _, x in part]),
            }
        )
        for part in (rows[i : i + 700] for i in range(0, len(rows), 700))
    ]
    grouped = fleet.from_batches(batches).group_by("k")
    found = grouped.select(
        "k, count(*) as n, count(v) as m, count(DISTINCT v) as d, sum(v) as s, avg(v) as a, min(v) as lo, max(k) as hi, "
        "stddev_samp(x) as sd, var_pop(x) as vp, sum(x) FILTER (WHERE v > 0) as fx, coalesce(sum(v), 0) + 1 as s1"
    ).to_pylist()
    assert [row["k"] for row in sorted(found, key=lambda row: row["k"])] == ["a", "b", "c"]
    for row in found:
        mine = [(v, x) for k, v, x in rows if k == row["k"]]
        values = [v for v, _ in mine if v is not None]
        reals = [x for _, x in mine]
        assert (row["n"], row["m"], row["d"]) == (len(mine), len(values), len(set(values)))
        assert (row["s"], row["lo"], row["hi"], row["s1"]) == (sum(values), min(values), row["k"], sum(values) + 1)
        assert row["a"] == pytest.approx(sum(values) / len(values))
        assert row["sd"] == pytest.approx(statistics.stdev(reals)) and row["vp"] == pytest.approx(
            statistics.pvariance(reals)
        )
        assert row["fx"] == pytest.approx(sum(x for v, x in mine if v is not None and v > 0))


def test_aggregates_of_nothing_and_of_decimals(fleet):
    empty = fleet.from_arrow(pa.table({"v": pa.array([], pa.int64())}))
    assert empty.select("count(*) as n, sum(v) as s, max(v) as m").to_pylist() == [{"n": 0, "s": None, "m": None}]
    money = pa.array([Decimal("1.25"), Decimal("2.50"), None], pa.decimal128(10, 2))
    found = fleet.from_arrow(pa.table({"v": money})).select("sum(v) as s, avg(v) as a").to_arrow()
    assert found.to_pylist() == [{"s": Decimal("3.75"), "a": Decimal("1.875000")}]
    assert found.schema.field("s").type == pa.decimal128(38, 2)
    too_much = fleet.from_arrow(pa.table({"v": [2**62, 2**62]}))
    assert failure_of(InvalidInputError, too_much.select("sum(v) as s").to_arrow).expression == "sum(v)"


def test_built_in_and_own_aggregates_in_one_grouping(fleet):
    class Longest(udfleet.AggregateFunction):
        def create_accumulator(self):
            return [0]

        def accumulate(self, accumulator, value):
            accumulator[0] = max(accumulator[0], len(value))

        def merge(self, accumulator, others):
            accumulator[0] = max([accumulator[0], *(other[0] for other in others)])

        def get_value(self, accumulator):
            return accumulator[0]

    fleet.register_function("longest", udfleet.udaf(Longest(), "STRING", "BIGINT"))
    table = fleet.from_elements([("a", "xx"), ("a", "y"), ("b", "zzz")], ["k", "s"])
    found = table.group_by("k").select("k, longest(s) as l, count(*) as n, max(s) as m").to_pylist()
    expected = [{"k": "a", "l": 2, "n": 2, "m": "y"}, {"k": "b", "l": 3, "n": 1, "m": "zzz"}]
    assert sorted(found, key=lambda row: row["k"]) == expected


def test_order_limit_and_what_follows(fleet):
    rows = [(3, None), (1, 2.0), (2, float("nan")), (1, 1.0), (None, 0.0)]
    table = fleet.from_elements(rows, "ROW<a BIGINT, x DOUBLE>")
    assert column(table.order_by("a"), "a") == [None, 1, 1, 2, 3]
    assert column(table.order_by("a DESC, x"), "a") == [3, 2, 1, 1, None]
    assert [str(x) for x in column(table.order_by(col("x").desc), "x")] == ["nan", "2.0", "1.0", "0.0", "None"]
    assert column(table.order_by("a % 2, a DESC").where("a IS NOT NULL"), "a") == [2, 3, 1, 1]
    assert table.order_by("a").columns == ["a", "x"]
    assert column(table.order_by("a").limit(2, offset=1), "a") == [1, 1]
    assert column(table.order_by("a").offset(3), "a") == [2, 3]
    assert column(table.order_by("a").limit(0), "a") == []
    assert "orders all rows by a DESC" in table.order_by("a desc").explain()
    assert failure_of(InvalidPlanError, table.limit, -1).message
    failure_of(InvalidPlanError, table.order_by("nope").to_arrow)


def test_a_limit_asks_for_no_more_than_it_needs(fleet):
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield pa.record_batch({"a": pa.array([number] * 1000, pa.int64())})
            number += 1

    table = fleet.from_batches(endless, schema=pa.schema([("a", pa.int64())]))
    assert table.select("a + 1 as b").limit(1500).to_arrow().num_rows == 1500
    assert len(taken) < 2000


def test_unions_and_distinct(fleet):
    first = fleet.from_elements([(1, "a"), (1, "a"), (2, None)], ["n", "s"])
    second = fleet.from_elements([(2, None), (3, "c")], ["m", "t"])
    union = first.union_all(second)
    assert union.to_pylist()[2:4] == [{"n": 2, "s": None}, {"n": 2, "s": None}]
    found = sorted(first.union(second.select("m, upper(t) as t")).to_pylist(), key=lambda row: row["n"])
    assert found == [{"n": 1, "s": "a"}, {"n": 2, "s": None}, {"n": 3, "s": "C"}]
    assert first.distinct().to_arrow().num_rows == 2
    other = fleet.from_elements([("a", 1)], ["s", "n"])
    assert "n BIGINT, s STRING" in failure_of(InvalidPlanError, first.union_all(other).to_arrow).message


def test_a_fleet_without_functions_runs_plans():
    with udfleet.local(executors=1, interpreters=1) as fleet:
        table = fleet.from_elements([(1,), (2,)], ["a"])
        assert table.select(call("sum", col("a")).alias("s")).to_pylist() == [{"s": 3}]
        assert table.where("a > 1").to_pylist() == [{"a": 2}]
        assert "group" in table.group_by("a").select("a, count(*) as n").explain()
        fleet.register_function("neg", udf(lambda a: -a, BIGINT, BIGINT))
        assert column(table, "neg(a)") == [-1, -2]


def _padded(text, length, filling, left):
    if length < 0 or (not filling and length > len(text)):
        return None
    missing = (filling * length)[: max(0, length - len(text))]
    return (missing + text if left else text + missing)[:length] if length > len(text) else text[:length]


AS_PYTHON_HAS_THEM = {
    "upper(s)": lambda s, t, n: s.upper(),
    "lower(s)": lambda s, t, n: s.lower(),
    "trim(s)": lambda s, t, n: s.strip(" "),
    "ltrim(s, t)": lambda s, t, n: s.lstrip(t) if t else s,
    "rtrim(s, t)": lambda s, t, n: s.rstrip(t) if t else s,
    "concat(s, t, '!')": lambda s, t, n: f"{s}{t}!",
    "substring(s, 2, 3)": lambda s, t, n: s[1:4],
    "replace(s, t, 'ß')": lambda s, t, n: s.replace(t, "ß") if t else s,
    "reverse(s)": lambda s, t, n: s[::-1],
    "lpad(s, n, t)": lambda s, t, n: _padded(s, n, t, True),
    "rpad(s, n, t)": lambda s, t, n: _padded(s, n, t, False),
    "char_length(s)": lambda s, t, n: len(s),
    "position(t in s)": lambda s, t, n: s.find(t) + 1,
    "s LIKE '%a%'": lambda s, t, n: "a" in s,
    "starts_with(s, t)": lambda s, t, n: s.startswith(t),
    "repeat(t, n)": lambda s, t, n: t * n,
    "upper(concat(s, NULL))": lambda s, t, n: None,
}


@pytest.mark.parametrize("letters", ["aAbZ %_09", "aÀß漢😀Σé "], ids=["ascii", "unicode"])
def test_random_texts_are_as_python_has_them(fleet, letters):
    rng = random.Random(11)
    rows = [
        (
            None if rng.random() < 0.1 else "".join(rng.choices(letters, k=rng.randrange(8))),
            None if rng.random() < 0.1 else "".join(rng.choices(letters, k=rng.randrange(3))),
            rng.randrange(-1, 10),
        )
        for _ in range(3_000)
    ]
    table = fleet.from_elements(rows, ["s", "t", "n"])
    # Filters make slices of columns.
    made = table.where("n < 9").select(", ".join(f"{text} as c{i}" for i, text in enumerate(AS_PYTHON_HAS_THEM)))
    found = made.to_arrow()
    kept = [row for row in rows if row[2] < 9]
    for index, (text, function) in enumerate(AS_PYTHON_HAS_THEM.items()):
        used = ["stn".index(name) for name in set(re.findall(r"\b[stn]\b", text))]
        wanted = [None if any(row[at] is None for at in used) else function(*row) for row in kept]
        assert found.column(f"c{index}").to_pylist() == wanted, text
