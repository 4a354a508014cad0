"""Built-in functions that are Python functions, in text and as methods, on a fleet."""

from __future__ import annotations

import hashlib
import math
import uuid as uuids

import pytest

import udfleet
from udfleet import DataTypes, InvalidPlanError, col, lit, udf
from udfleet.table.expression import atan2, map_from_arrays, rand, rand_integer, uuid

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
    ("json_unquote(json_quote(s))", col("s").json_quote.json_unquote, "Hello wORLD_x2"),
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
    ("array_distinct(l)", col("l").array_distinct, [3, None, 1]),
    ("array_reverse(l)", col("l").array_reverse, [3, 1, None, 3]),
    ("array_concat(l, l)", col("l").array_concat(col("l")), [3, None, 1, 3] * 2),
    ("array_union(l, l)", col("l").array_union(col("l")), [3, None, 1]),
    ("array_intersect(l, array_slice(l, 3))", col("l").array_intersect(col("l").array_slice(3)), [3, 1]),
    ("array_except(l, array_slice(l, 3))", col("l").array_except(col("l").array_slice(3)), [None]),
    ("array_slice(l, -2)", col("l").array_slice(-2), [1, 3]),
    ("array_sort(l)", col("l").array_sort(), [None, 1, 3, 3]),
    ("array_sort(l, FALSE)", col("l").array_sort(False), [3, 3, 1, None]),
    ("array_sort(l, TRUE, FALSE)", col("l").array_sort(True, False), [1, 3, 3, None]),
    ("array_max(l)", col("l").array_max, 3),
    ("array_min(l)", col("l").array_min, 1),
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
    if "'$.a')" not in text and "[*]" not in text:
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
