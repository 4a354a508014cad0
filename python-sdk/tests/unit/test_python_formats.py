"""Formats of Java's `Formatter`, JSON of values, percentiles, addresses and spans of time, as Flink has them, called here."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfleet.row import Row
from udfleet.table.python_functions import formats, json_texts, texts, times
from udfleet.table.value_aggregates import Percentile


@pytest.mark.parametrize(
    ("form", "values", "expected"),
    [
        ("%s is %d", ("a", 5), "a is 5"),
        ("%2$s %1$s%n%%", ("a", "b"), "b a\n%"),
        ("[%5d|%-5d|%05d|%+d|%,d]", (1, 2, -3, 4, 1234567), "[    1|2    |-0003|+4|1,234,567]"),
        ("%.2f %e %(.1f", (1.005, 12345.678, -2.25), "1.00 1.234568e+04 (2.2)"),
        ("%x %X %o %#x", (255, 255, 8, 255), "ff FF 10 0xff"),
        ("%b %B %c %S", (None, True, "x", "up"), "false TRUE x UP"),
        ("%s %s", (None, Decimal("1E+2")), "null 100"),
        ("%.3s|%6s", ("abcdef", "ab"), "abc|    ab"),
        ("%d", ("a",), None),
        ("%d", (1.5,), None),
        ("%s %s", ("a",), None),
        ("%0$s", ("a", "b"), None),
        ("%q", (1,), None),
        ("100%", (), None),
        (None, (1,), None),
    ],
)
def test_formats(form, values, expected):
    assert formats.printf(form, *values) == expected


def test_json_of_values():
    assert json_texts.json_object("null:3", "a", None, "b", '{"c":1}', "d", "é") == '{"a":null,"b":{"c":1},"d":"é"}'
    assert json_texts.json_object("absent:", "a", None, "b", Decimal("1.50")) == '{"b":1.50}'
    assert json_texts.json_array("null:", 1, None, [True, 1.5], b"x") == '[1,null,[true,1.5],"eA=="]'
    assert json_texts.json_array("absent:1", None, "[1]") == "[[1]]"
    assert json_texts.json_string(Row(a=1, b={"k": datetime.date(2020, 1, 2)})) == '{"a":1,"b":{"k":"2020-01-02"}}'
    assert json_texts.json_string(None) is json_texts.raw_json("") is json_texts.raw_json(None) is None
    for refused in (lambda: json_texts.json_string(float("nan")), lambda: json_texts.json_object("null:", None, 1),
                    lambda: json_texts.raw_json("{")):  # fmt: skip
        with pytest.raises(ValueError):
            refused()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_json_is_read_back_as_it_was(value):
    assert value is None or json.loads(json_texts.json_string(value)) == value


def percentile(values, percentage):
    function = Percentile()
    accumulator = function.create_accumulator()
    for value in values:
        function.accumulate(accumulator, value[0], percentage, *value[1:])
    return function.get_value(accumulator)


def test_percentiles_lie_between_values():
    four = [(10.0,), (None,), (30.0,), (20.0,), (40.0,)]
    assert [percentile(four, at) for at in (0.0, 0.5, 0.75, 1.0)] == [10.0, 25.0, 32.5, 40.0]
    assert percentile(four, [0.5, 0.0]) == [25.0, 10.0] and percentile(four, []) is None
    assert percentile([(None,)], 0.5) is percentile([], 0.5) is None
    counted = [(1.0, 3), (5.0, 1), (7.0, 0), (8.0, None), (9.0, -1)]
    assert [percentile(counted, at) for at in (0.5, 1.0)] == [1.0, 5.0]
    assert percentile(counted, 5 / 6) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile(four, 1.5)


def test_addresses():
    assert [texts.inet_aton(text) for text in ("127.0.0.1", "127.1", "1", "1.2.3", "0.0.0.0")] == [
        2130706433, 2130706433, 1, 0x01020003, 0]  # fmt: skip
    assert {texts.inet_aton(text) for text in ("", "256", "1.2.3.4.5", "a.b", "1..2", "-1", "٣", "1" * 5000)} == {None}
    assert texts.inet_aton("0" * 5000 + "1.0127") == 1 << 24 | 127
    assert [texts.inet_ntoa(n) for n in (2130706433, 0, 0xFFFFFFFF, -1, 1 << 32)] == [
        "127.0.0.1", "0.0.0.0", "255.255.255.255", None, None]  # fmt: skip
    assert texts.is_valid_utf8("é".encode()) and not texts.is_valid_utf8(b"\xff") and texts.is_valid_utf8(None) is None
    assert texts.make_valid_utf8(b"a\xffb") == "a\ufffdb"


def test_spans_of_time():
    at, hours = datetime.time, lambda n: datetime.timedelta(hours=n)
    assert times.temporal_overlaps(at(2, 55), hours(1), at(3, 30), hours(2)) is True
    assert times.temporal_overlaps(at(9), at(9, 30), at(10), hours(1)) is False
    assert times.temporal_overlaps(at(10), hours(-1), at(9, 30), hours(0)) is True, "a span may go backwards"
    day = datetime.date(2024, 1, 31)
    assert times.temporal_overlaps(day, 1, datetime.date(2024, 2, 29), hours(1)) is True, (
        "a month on is the month's end"
    )
    assert times.temporal_overlaps(day, 1, datetime.date(2024, 3, 1), hours(1)) is False
    assert times.temporal_overlaps(None, hours(1), at(1), hours(1)) is None
