"""Values of tables: decimals rounded to declared places, spans of time, and rows that `collect()` gives."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from udfleet import DataTypes, InvalidInputError, InvalidPlanError, Row, col
from udfleet.table import lit
from udfleet.table.parser import parse_expression
from udfleet.table.proto import to_message
from udfleet.table.result import TableResult
from udfleet.table.sources import from_elements

DECIMAL = "DECIMAL(5, 1)"


def column(values, data_type):
    source = from_elements([(value,) for value in values], [DataTypes.FIELD("v", data_type)])
    return [row["v"] for batch in source.batches() for row in batch.to_pylist()]


def test_keys_that_are_the_same_when_rounded_are_refused():
    assert column([{Decimal("1.04"): 1, Decimal("1.15"): 2}], f"MAP<{DECIMAL}, INT>") == [
        [(Decimal("1.0"), 1), (Decimal("1.2"), 2)]
    ]
    with pytest.raises(InvalidInputError) as error:
        column([{}, {Decimal("1.04"): 1, Decimal("1.01"): 2}], f"MAP<{DECIMAL}, INT>")
    assert error.value.row == 1 and "'v'" in error.value.message


def test_elements_of_multisets_are_rounded_and_counted_together():
    values = {Decimal("1.04"): 1, Decimal("1.01"): 2, Decimal("2.55"): 1}
    assert column([values], f"MULTISET<{DECIMAL}>") == [[(Decimal("1.0"), 3), (Decimal("2.6"), 1)]]
    with pytest.raises(InvalidInputError):
        column([{Decimal("1.04"): "x"}], f"MULTISET<{DECIMAL}>")


def test_rows_that_are_keys_are_rounded():
    values = column([{Row(Decimal("1.04")): 1}], f"MAP<ROW<d {DECIMAL}>, INT>")
    assert values == [[({"d": Decimal("1.0")}, 1)]]


def test_what_can_not_be_rounded_is_refused():
    with pytest.raises(InvalidInputError) as error:
        column([Decimal("1"), Decimal("9" * 1_500 + ".55")], DECIMAL)
    assert error.value.row == 1


@pytest.mark.parametrize(
    "text",
    ["INTERVAL '99999999999' DAY", "INTERVAL '999999999999999999999' SECOND", "INTERVAL '99999999999 00:00:00' DAY TO SECOND",
     "INTERVAL '99999999999' YEAR", "INTERVAL '1 24:00:00' DAY TO SECOND", "INTERVAL '1 00:60' DAY TO MINUTE",
     "INTERVAL '1:60' MINUTE TO SECOND", "INTERVAL '1:60.5' MINUTE TO SECOND", "INTERVAL '1-12' YEAR TO MONTH"],
)  # fmt: skip
def test_spans_that_there_are_not(text):
    with pytest.raises(InvalidPlanError):
        parse_expression(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [("INTERVAL '1 23:59:59.5' DAY TO SECOND", datetime.timedelta(1, 86_399, 500_000)), ("INTERVAL '48:59' HOUR TO MINUTE",
     datetime.timedelta(hours=48, minutes=59)), ("INTERVAL '90' SECOND", datetime.timedelta(seconds=90))],
)  # fmt: skip
def test_spans_that_there_are(text, span):
    assert parse_expression(text).value == span


@pytest.mark.parametrize("made", [lambda: lit(10**12).days, lambda: lit(-(10**18)).hours, lambda: lit(10**18).weeks])
def test_spans_of_objects_are_bounded(made):
    with pytest.raises(InvalidPlanError):
        made()


def test_times_out_of_range_are_refused():
    late = datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))
    with pytest.raises(InvalidPlanError):
        to_message(lit(late), str, lambda _: False)
    with pytest.raises(InvalidPlanError):
        to_message(col("t") < lit(late), str, lambda _: False)


def test_collected_rows_are_closed_by_with():
    closed = []

    def batches():
        try:
            for number in range(10):
                yield pa.record_batch({"n": [number]})
        finally:
            closed.append(True)

    with TableResult(batches()).collect() as results:
        assert iter(results) is results
        assert [next(results), next(results)] == [Row(0), Row(1)] and not closed
    assert closed and list(results) == []


def test_collected_rows_may_be_closed_before_the_first():
    result = TableResult(iter([pa.record_batch({"n": [1]})]))
    rows = result.collect()
    rows.close()
    assert list(rows) == []
