"""Ordering holds what a limit asks for, and no more than its bound."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pyarrow as pa
import pytest

from udfleet import LimitExceededError
from udfleet.table import derived
from udfleet.table.sources import from_batches
from udfleet.table.table import Table

ROWS = 2_000
NUMBERS = random.Random(3).choices([None, *range(50)], k=ROWS)


def batches():
    for start in range(0, ROWS, 100):
        numbers = pa.array(NUMBERS[start : start + 100], pa.int64())
        yield pa.record_batch({"n": numbers, "at": pa.array(range(start, start + 100), pa.int64())})


def table():
    schema = pa.schema({"n": pa.int64(), "at": pa.int64()})
    return Table(SimpleNamespace(_functions=SimpleNamespace(refer=None)), from_batches(batches, schema))


def rows(of):
    return [(row["n"], row["at"]) for batch in of._run(None, None) for row in batch.to_pylist()]


EXPECTED = sorted(((n, at) for at, n in enumerate(NUMBERS)), key=lambda row: (row[0] is not None, row[0] or 0))


@pytest.fixture(params=[1, 150, 100_000])
def at_once(request, monkeypatch):
    monkeypatch.setattr(derived, "_ORDERED_AT_ONCE", request.param)


@pytest.mark.parametrize("count", [0, 1, 37, 700, ROWS, 5 * ROWS])
def test_a_limit_gives_the_first_rows_of_the_whole_order(at_once, count):
    ordered = table().order_by("n")
    assert rows(ordered.limit(count)) == EXPECTED[:count]
    assert rows(ordered.limit(count, offset=20)) == EXPECTED[20 : 20 + count]
    assert rows(ordered.offset(20).fetch(count)) == EXPECTED[20 : 20 + count]
    assert rows(ordered.offset(20).offset(5)) == EXPECTED[25:]
    assert rows(ordered.limit(50).limit(count, offset=10)) == EXPECTED[10:50][:count]


def test_what_is_held_is_bounded(monkeypatch):
    monkeypatch.setattr(derived, "MAX_ORDERED_BYTES", 10_000)
    monkeypatch.setattr(derived, "_ORDERED_AT_ONCE", 150)
    with pytest.raises(LimitExceededError) as error:
        rows(table().order_by("n"))
    assert "limit()" in error.value.hint
    assert rows(table().order_by("n").limit(30)) == EXPECTED[:30]
