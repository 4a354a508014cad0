"""Built-in functions that are Python functions, in text and as methods, on a fleet."""

from __future__ import annotations

import datetime
import hashlib
import math
import uuid as uuids
from decimal import Decimal

import pytest

import udfleet
from udfleet import DataTypes, InvalidPlanError, col, lit, udf
from udfleet.table.expressions import (
    array,
    atan2,
    convert_tz,
    current_date,
    current_timestamp,
    date_format,
    from_unixtime,
    map_,
    map_from_arrays,
    rand,
    rand_integer,
    row,
    timestamp_diff,
    to_date,
    to_timestamp,
    to_timestamp_ltz,
    unix_timestamp,
    uuid,
)

JSON = '{"a": [1, {"b": "x"}], "c d": true, "n": null, "f": 1.5}'


@pytest.fixture(scope="module")
def table(fleet):
    types = {"s": "STRING", "n": "BIGINT", "x": "DOUBLE", "j": "STRING", "l": "ARRAY<INT>", "w": "ARRAY<STRING>",
             "m": "MAP<STRING, INT>"}  # fmt: skip
    rows = [
        ("Hello wORLD_x2", 10, 0.5, JSON, [3, None, 1, 3], ["a", None, "b"], {"k": 1, "l": 2}),
        (None, None, None, None, None, None, None),
    ]
    return fleet.from_elements(rows, [DataTypes.FIELD(*each) for each in types.items()])


def values(table, item):
    return table.select(item.alias("v") if not isinstance(item, str) else f"{item} as v").to_arrow()["v"].to_pylist()


def is_hash(name, text="Hello wORLD_x2"):
    return hashlib.new(name, text.encode()).hexdigest()


CASES = [
    ("regexp(s, 'w[A-Z]+')", col("s").regexp("w[A-Z]+"), True),
    ("regexp(s, '^w')", col("s").regexp("^w"), False),
    ("regexp_count(s, 'l')", col("s").regexp_count("l"), 2),
    ("regexp_extract(s, '(H)(.)l', 2)", col("s").regexp_extract("(H)(.)l", 2), "e"),
    ("REGEXP_EXTRACT(s, 'l+')", col("s").regexp_extract("l+"), "ll"),
    ("regexp_extract(s, 'z')", col("s").regexp_extract("z"), None),
    ("regexp_extract_all(s, '([a-z])([A-Z])')", col("s").regexp_extract_all("([a-z])([A-Z])"), ["w"]),
    ("regexp_extract_all(s, 'l', 0)", col("s").regexp_extract_all("l", 0), ["l", "l"]),
    ("regexp_instr(s, 'l')", col("s").regexp_instr("l"), 3),
    ("regexp_instr(s, 'z')", col("s").regexp_instr("z"), 0),
    ("regexp_substr(s, 'o.*O')", col("s").regexp_substr("o.*O"), "o wO"),
    ("regexp_replace(s, '(l)(l)', '[$2\\\\$$1]')", col("s").regexp_replace("(l)(l)", "[$2\\$$1]"), "He[l$l]o wORLD_x2"),
    ("s SIMILAR TO 'H%(wORLD|x)_x[0-9]'", col("s").similar("H%(wORLD|x)_x[0-9]"), True),
    ("s NOT SIMILAR TO 'Hello' AND n = 10", ~col("s").similar("Hello") & (col("n") == 10), True),
    ("initcap(s)", col("s").init_cap, "Hello World_X2"),
    ("split_index(s, ' ', 1)", col("s").split_index(" ", 1), "wORLD_x2"),
    ("split_index(s, ' ', 5)", col("s").split_index(" ", 5), None),
    ("split(s, 'l')", col("s").split("l"), ["He", "", "o wORLD_x2"]),
    ("translate(s, 'leo', 'L3')", col("s").translate("leo", "L3"), "H3LL wORLD_x2"),
    ("ascii(s)", col("s").ascii, 72),
    ("chr(n + 55)", (col("n") + 55).chr, "A"),
    ("hex(s)", col("s").hex, b"Hello wORLD_x2".hex().upper()),
    ("hex(n)", col("n").hex, "A"),
    ("hex(n - 11)", (col("n") - 11).hex, "F" * 16),
    ("bin(n)", col("n").bin, "1010"),
    ("from_base64(to_base64(s))", col("s").to_base64.from_base64, "Hello wORLD_x2"),
    ("md5(s)", col("s").md5, is_hash("md5")),
    ("sha1(s)", col("s").sha1, is_hash("sha1")),
    ("sha224(s)", col("s").sha224, is_hash("sha224")),
    ("sha256(s)", col("s").sha256, is_hash("sha256")),
    ("sha384(s)", col("s").sha384, is_hash("sha384")),
    ("sha512(s)", col("s").sha512, is_hash("sha512")),
    ("sha2(s, 256)", col("s").sha2(256), is_hash("sha256")),
    ("asin(x)", col("x").asin, math.asin(0.5)),
    ("acos(x)", col("x").acos, math.acos(0.5)),
    ("atan(x)", col("x").atan, math.atan(0.5)),
    ("atan2(x, 2.0)", atan2(col("x"), 2.0), math.atan2(0.5, 2)),
    ("sinh(x)", col("x").sinh, math.sinh(0.5)),
    ("cosh(x)", col("x").cosh, math.cosh(0.5)),
    ("tanh(x)", col("x").tanh, math.tanh(0.5)),
    ("asin(x + 1) <> acos(x + 1)", (col("x") + 1).asin != (col("x") + 1).acos, False),  # NaN outside of their domain
    ("sinh(x - 1000)", (col("x") - 1000).sinh, -math.inf),
    ("is_json(j)", col("j").is_json(), True),
    ("is_json(s)", col("s").is_json(), False),
    ("json_exists(j, '$.n')", col("j").json_exists("$.n"), True),
    ("json_exists(s, '$.n')", col("s").json_exists("$.n"), False),
    ("json_value(j, 'lax $.a[1].b')", col("j").json_value("$.a[1].b"), "x"),
    ('json_value(j, \'$["c d"]\')', col("j").json_value("$['c d']"), "true"),
    ("json_value(j, '$.f')", col("j").json_value("$.f"), "1.5"),
    ("json_value(j, '$.a')", col("j").json_value("$.n"), None),
    ("json_query(j, '$.a[*]')", col("j").json_query("$.a[5]"), None),
    ("json_query(j, '$.a')", col("j").json_query("$.a"), '[1,{"b":"x"}]'),
    ("json_unquote(json_quote(s))", col("s").json_quote().json_unquote(), "Hello wORLD_x2"),
    ("cardinality(l)", col("l").cardinality, 4),
    ("cardinality(m)", col("m").cardinality, 2),
    ("element(array_slice(l, 3, 3))", col("l").array_slice(3, 3).element, 1),
    ("element_at(l, 3)", col("l").at(3), 1),
    ("element_at(l, 9)", col("l").at(9), None),
    ("element_at(m, 'l')", col("m").at("l"), 2),
    ("array_contains(l, 1)", col("l").array_contains(1), True),
    ("array_contains(l, 7)", col("l").array_contains(7), False),
    ("array_contains(l, NULL)", col("l").array_contains(None), True),
    ("array_position(l, 1)", col("l").array_position(1), 3),
    ("array_append(l, 7)", col("l").array_append(7), [3, None, 1, 3, 7]),
    ("array_prepend(l, NULL)", col("l").array_prepend(None), [None, 3, None, 1, 3]),
    ("array_remove(l, 3)", col("l").array_remove(3), [None, 1]),
    ("array_distinct(l)", col("l").array_distinct(), [3, None, 1]),
    ("array_reverse(l)", col("l").array_reverse(), [3, 1, None, 3]),
    ("array_concat(l, l)", col("l").array_concat(col("l")), [3, None, 1, 3] * 2),
    ("array_union(l, l)", col("l").array_union(col("l")), [3, None, 1]),
    ("array_intersect(l, array_slice(l, 3))", col("l").array_intersect(col("l").array_slice(3)), [3, 1]),
    ("array_except(l, array_slice(l, 3))", col("l").array_except(col("l").array_slice(3)), [None]),
    ("array_slice(l, -2)", col("l").array_slice(-2), [1, 3]),
    ("array_sort(l)", col("l").array_sort(), [None, 1, 3, 3]),
    ("array_sort(l, FALSE)", col("l").array_sort(False), [3, 3, 1, None]),
    ("array_sort(l, TRUE, FALSE)", col("l").array_sort(True, False), [1, 3, 3, None]),
    ("array_sort(l, true, false)", col("l").array_sort(nulls_first=False), [1, 3, 3, None]),
    ("array_max(l)", col("l").array_max(), 3),
    ("array_min(l)", col("l").array_min(), 1),
    ("array_join(w, '-')", col("w").array_join("-"), "a-b"),
    ("array_join(w, '-', '?')", col("w").array_join("-", "?"), "a-?-b"),
    ("map_keys(m)", col("m").map_keys, ["k", "l"]),
    ("map_values(m)", col("m").map_values, [1, 2]),
    ("map_union(m, m)", col("m").map_union(col("m")), [("k", 1), ("l", 2)]),
    ("map_from_arrays(map_keys(m), map_values(m))", map_from_arrays(col("m").map_keys, col("m").map_values),
     [("k", 1), ("l", 2)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "made", "expected"), CASES, ids=[case[0] for case in CASES])
def test_values_and_nulls(table, text, made, expected):
    assert values(table, text) == [expected, None]
    assert values(table, made) == [expected, None]


def test_random_values_differ_from_row_to_row(fleet):
    table = fleet.from_elements([(i,) for i in range(50)], ["i"])
    made = table.select(rand().alias("a"), rand_integer(5).alias("b"), uuid().alias("c"), "rand() as d").to_pylist()
    assert all(0 <= row["a"] < 1 and 0 <= row["b"] < 5 and row["a"] != row["d"] for row in made)
    assert len({row["a"] for row in made}) == len({uuids.UUID(row["c"]) for row in made}) == 50


@pytest.mark.parametrize(
    "text", ["regexp(s)", "md5(n)", "array_max(s)", "map_keys(l)", "element_at(s, 1)", "regexp_extract(s, 'a', 1, 2)", "rand(1)",
             "cardinality(s)", "array_append(l, 'x')", "md5(s) FILTER (WHERE n > 1)", "map_from_arrays(l, s)"]
)  # fmt: skip
def test_what_they_do_not_take(table, text):
    with pytest.raises(InvalidPlanError):
        values(table, text)


@pytest.mark.parametrize(
    "text", ["regexp(s, '(')", "regexp_extract(s, 'a', 1)", "regexp_replace(s, 'l', '$3')", "regexp_replace(s, 'l', '$')",
             "s SIMILAR TO '('", "sha2(s, 5)", "from_base64(s)", "json_value(j, 'a.b')", "element(l)", "rand_integer(0 - n)",
             "map_from_arrays(l, w)"]
)  # fmt: skip
def test_what_an_argument_can_not_be_is_an_error_of_its_row(table, text):
    with pytest.raises(udfleet.UserCodeError) as error:
        values(table, text)
    assert error.value.row == 0


def test_methods_mean_the_built_in_function_whatever_is_registered(fleet, table):
    fleet.register_function("md5", udf(lambda s: "mine", ["STRING"], "STRING"))
    try:
        assert values(table, lit("x").md5)[0] == is_hash("md5", "x") and values(table, "md5('x')")[0] == "mine"
    finally:
        fleet.drop_function("md5")


MOMENT = datetime.datetime(2020, 2, 29, 13, 5, 9, 123456)
TIMES = [
    ("date_format(t, 'yyyy-MM-dd HH:mm:ss.SSS')", date_format(col("t"), "yyyy-MM-dd HH:mm:ss.SSS"), "2020-02-29 13:05:09.123"),
    ("date_format(d, 'EEE, d MMM yy ''at'' h a')", date_format(col("d"), "EEE, d MMM yy 'at' h a"), "Sat, 29 Feb 20 at 12 AM"),
    ("to_date('31.12.2019', 'dd.MM.yyyy')", to_date("31.12.2019", "dd.MM.yyyy"), datetime.date(2019, 12, 31)),
    ("to_timestamp('20191231 010203.5', 'yyyyMMdd HHmmss.S')", to_timestamp("20191231 010203.5", "yyyyMMdd HHmmss.S"),
     datetime.datetime(2019, 12, 31, 1, 2, 3, 500_000)),
    ("from_unixtime(86399)", from_unixtime(86399), "1970-01-01 23:59:59"),
    ("from_unixtime(0, 'yyyy')", from_unixtime(0, "yyyy"), "1970"),
    ("unix_timestamp('1970-01-02 00:00:01')", unix_timestamp("1970-01-02 00:00:01"), 86401),
    ("to_timestamp_ltz(5, 0)", to_timestamp_ltz(5, 0), datetime.datetime(1970, 1, 1, 0, 0, 5, tzinfo=datetime.timezone.utc)),
    ("to_timestamp_ltz('1970-01-01 01:00:00', 'yyyy-MM-dd HH:mm:ss', '+01:00')",
     to_timestamp_ltz("1970-01-01 01:00:00", "yyyy-MM-dd HH:mm:ss", "+01:00"),
     datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)),
    ("convert_tz('1970-01-01 00:00:00', 'UTC', 'GMT-08:00')", convert_tz("1970-01-01 00:00:00", "UTC", "GMT-08:00"),
     "1969-12-31 16:00:00"),
    ("timestamp_diff('DAY', d, t)", timestamp_diff("DAY", col("d"), col("t")), 0),
    ("timestamp_diff('MINUTE', t, d)", timestamp_diff("MINUTE", col("t"), col("d")), -785),
    ("timestamp_diff('YEAR', DATE '2016-02-29', d)", timestamp_diff("YEAR", lit(datetime.date(2016, 2, 29)), col("d")), 4),
    ("timestamp_diff('MONTH', DATE '2020-01-31', d)", timestamp_diff("MONTH", lit(datetime.date(2020, 1, 31)), col("d")), 1),
    ("floor_to(t, 'MINUTE')", col("t").floor("MINUTE"), datetime.datetime(2020, 2, 29, 13, 5)),
    ("floor_to(t, 'QUARTER')", col("t").floor("QUARTER"), datetime.datetime(2020, 1, 1)),
    ("floor_to(d, 'WEEK')", col("d").floor("WEEK"), datetime.date(2020, 2, 23)),
    ("ceil_to(t, 'DAY')", col("t").ceil("DAY"), datetime.datetime(2020, 3, 1)),
    ("ceil_to(d, 'YEAR')", col("d").ceil("YEAR"), datetime.date(2021, 1, 1)),
    ("ceil_to(d, 'DAY')", col("d").ceil("DAY"), datetime.date(2020, 2, 29)),
    ("floor_to(CAST(t AS TIME(6)), 'HOUR')", col("t").cast("TIME(6)").floor("HOUR"), datetime.time(13)),
    ("truncate(x, 1)", col("x").truncate(1), -1.2),
    ("truncate(n, -1)", col("n").truncate(-1), 40),
    ("truncate(p, 1)", col("p").truncate(1), Decimal("1.90")),
    ("array(n, 1, NULL)", array(col("n"), 1, None), [42, 1, None]),
    ("map('a', n, 'b', 2)", map_("a", col("n"), "b", 2), [("a", 42), ("b", 2)]),
    ("row(n, 'x')", row(col("n"), "x"), {"f0": 42, "f1": "x"}),
    ("map_entries(map('a', n))", map_("a", col("n")).map_entries, [{"key": "a", "value": 42}]),
    ("elt(2, 'a', 'b')", lit(2).elt("a", "b"), "b"),
    ("str_to_map('a=1,b')", lit("a=1,b").str_to_map(), [("a", "1"), ("b", None)]),
    ("parse_url('http://u@h.org/p?k=v#r', 'QUERY', 'k')", lit("http://u@h.org/p?k=v#r").parse_url("QUERY", "k"), "v"),
    ("parse_url('http://u@h.org/p?k=v#r', 'HOST')", lit("http://u@h.org/p?k=v#r").parse_url("HOST"), "h.org"),
    ("url_decode(url_encode('a b&ü'))", lit("a b&ü").url_encode.url_decode, "a b&ü"),
    ("decode(unhex('C3BC'), 'UTF-8')", lit("C3BC").unhex.decode("UTF-8"), "ü"),
    ("decode(encode('ü', 'UTF-16'), 'UTF-16')", lit("ü").encode("UTF-16").decode("UTF-16"), "ü"),
    ("unhex('x')", lit("x").unhex, None),
    ("ltrim('xxa', 'x')", lit("xxa").ltrim("x"), "a"),
    ("rtrim('axx', 'x')", lit("axx").rtrim("x"), "a"),
    ("concat(floor(x), '')", col("x").floor().cast("STRING").concat(""), "-2.0"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "made", "expected"), TIMES, ids=[case[0] for case in TIMES])
def test_times_and_constructors(fleet, text, made, expected):
    types = {"t": "TIMESTAMP(6)", "d": "DATE", "x": "DOUBLE", "n": "BIGINT", "p": "DECIMAL(5, 2)"}
    rows = [(MOMENT, MOMENT.date(), -1.25, 42, Decimal("1.99"))]
    table = fleet.from_elements(rows, [DataTypes.FIELD(*each) for each in types.items()])
    if not text.startswith("concat(floor"):
        assert values(table, text) == [expected]
    assert values(table, made) == [expected]


def test_the_present_is_when_the_plan_runs(fleet):
    table = fleet.from_elements([1, 2], ["a"])
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    made = table.select(
        current_timestamp().alias("a"), "current_timestamp() as b", current_date().alias("c")
    ).to_pylist()
    after = datetime.datetime.now(datetime.timezone.utc)
    assert all(before < row["a"] <= after and before < row["b"] <= after for row in made)
    assert made[0] == made[1] and before.date() <= made[0]["c"] <= after.date()


@pytest.mark.parametrize(
    "text", ["date_format(t, 'yyyy-b')", "to_date('x', 'yyyy')", "to_date('2020', 'EEE')", "timestamp_diff('EON', t, t)",
             "convert_tz('1970-01-01 00:00:00', 'UTC', 'Nowhere/Land')", "parse_url('http://a', 'PORT')", "decode(unhex('FF'), 'x')"]
)  # fmt: skip
def test_what_times_can_not_be(fleet, text):
    table = fleet.from_elements([(MOMENT,)], ["t"])
    with pytest.raises(udfleet.UserCodeError) as error:
        values(table, text)
    assert error.value.row == 0


def test_what_holds_aggregates_and_keys_of_a_group(table):
    made = (
        table.where("n = 10")
        .group_by("n as k")
        .select("truncate(avg(x) + 1, 0) as a, cardinality(array_agg(s)) as b, hex(k) as c")
    )
    assert made.to_pylist() == [{"a": 1.0, "b": 1, "c": "A"}]
    assert table.select("truncate(avg(x), 0) as a, truncate(1.55, 1) as b").to_pylist() == [
        {"a": 0.0, "b": Decimal("1.50")}
    ]
