"""Spans of time, written as text and as objects, in arithmetic on a fleet."""

from __future__ import annotations

import datetime

import pytest

from udfleet import InvalidPlanError, col, lit
from udfleet.table.parser import parse_expression

START = datetime.datetime(2020, 1, 31, 12)


@pytest.mark.parametrize(
    ("text", "made", "expected"),
    [
        ("t + INTERVAL '5' MINUTE", col("t") + lit(5).minutes, START + datetime.timedelta(minutes=5)),
        ("t - INTERVAL '-1.5' SECOND", col("t") + lit(1500).millis, START + datetime.timedelta(seconds=1.5)),
        ("t + INTERVAL '1 02:03:04.000005' DAY TO SECOND", col("t") + lit(1).day + lit(2).hours + lit(3).minutes
         + lit(4).seconds + lit(datetime.timedelta(microseconds=5)), START + datetime.timedelta(1, 7384, 5)),
        ("t + INTERVAL '90' MINUTE", col("t") + lit(1).hour + lit(30).minutes, START + datetime.timedelta(hours=1.5)),
        ("t + INTERVAL '1' DAY", col("t") + lit(1).days, START + datetime.timedelta(days=1)),
        ("t + INTERVAL '12:30' HOUR TO MINUTE", col("t") + lit(750).minutes, START + datetime.timedelta(minutes=750)),
        ("t + INTERVAL '14' DAY", col("t") + lit(2).weeks, START + datetime.timedelta(weeks=2)),
        ("t + n * INTERVAL '1' HOUR", col("t") + col("n").hours, START + datetime.timedelta(hours=3)),
        ("t + INTERVAL '1-1' YEAR TO MONTH", col("t") + lit(13).months, datetime.datetime(2021, 2, 28, 12)),
        ("t + INTERVAL '1' YEAR", col("t") + lit(4).quarters, datetime.datetime(2021, 1, 31, 12)),
        ("t - INTERVAL '2' YEAR", col("t") - lit(2).years, datetime.datetime(2018, 1, 31, 12)),
    ],
)  # fmt: skip
def test_spans(fleet, text, made, expected):
    table = fleet.from_elements([(START, 3)], ["t", "n"])
    (row,) = table.select(f"{text} as a", made.alias("b")).to_pylist()
    assert row == {"a": expected, "b": expected}


@pytest.mark.parametrize("span", [lit(datetime.timedelta(-1, 5, 6)), lit(3).hours, lit(-14).months, lit(2).weeks])
def test_their_text_means_the_same(span):
    read = parse_expression(str(span))
    assert (read.value, read.data_type) == (span.value, span.data_type)


@pytest.mark.parametrize(
    "text",
    [
        "INTERVAL '5'",
        "INTERVAL 'x' DAY",
        "INTERVAL '5' DAY TO MONTH",
        "INTERVAL '5' SECOND TO DAY",
        "INTERVAL '1' DAY TO",
    ],
)
def test_what_is_none(text):
    with pytest.raises(InvalidPlanError):
        parse_expression(text)


def test_months_are_of_written_numbers():
    with pytest.raises(TypeError):
        _ = col("n").months
