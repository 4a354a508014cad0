"""Results of tables: batches as they come, rows with their values as functions get them, and printed."""

from __future__ import annotations

import datetime

import pyarrow as pa

from udfleet import DataTypes, Row, col, lit

TYPES = "ROW<a INT, s STRING, m MAP<STRING, ARRAY<ROW<x INT>>>, r ROW<y DATE>>"
DAY = datetime.date(2020, 1, 2)


def test_rows(fleet):
    rows = [(1, "x", {"k": [Row(x=1), None]}, Row(y=DAY)), (None, None, None, None)]
    table = fleet.from_elements(rows, DataTypes.parse(TYPES))
    with table.where("a = 1 OR a IS NULL").execute() as result:
        first, second = result.collect()
    assert first == Row(1, "x", {"k": [Row(x=1), None]}, Row(y=DAY)) and second == Row(None, None, None, None)
    assert isinstance(first[3], Row) and first[3].y == DAY


def test_months_are_numbers(fleet):
    assert list(fleet.from_elements([1]).select(lit(14).months.alias("m")).execute().collect()) == [Row(14)]


def test_what_is_taken_is_gone(fleet):
    batches = [pa.record_batch({"a": [i]}) for i in range(3)]
    result = fleet.from_batches(batches).select(col("a") + 1).execute()
    assert next(result).num_rows == 1
    assert [row[0] for row in result.collect()] == [2, 3]
    assert list(result) == []


def test_printed(fleet, capsys):
    fleet.from_elements([(1, "x" * 50), (None, "y")], ["n", "s"]).execute().print()
    fleet.from_elements([(1,)], ["n"]).where("n > 1").execute().print()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"| {'n':>20} | {'s':>30} |"
    assert lines[3] == f"| {'1':>20} | {'x' * 27}... |" and lines[4] == f"| {'NULL':>20} | {'y':>30} |"
    assert lines[0] == lines[2] == lines[5] == f"+{'-' * 22}+{'-' * 32}+" and lines[6] == "2 rows in set"
    assert lines[-1] == "0 rows in set"


def test_sets_that_count_their_rows(fleet):
    ours = fleet.from_elements([(1, "a")] * 3 + [(2, None)] * 2 + [(3, "c")], ["n", "s"])
    theirs = fleet.from_elements([(1, "a"), (2, None), (2, None), (2, None), (4, "d")], ["n", "s"])

    def rows(table):
        return sorted((row["n"], row["s"]) for row in table.to_pylist())

    assert rows(ours.minus_all(theirs)) == [(1, "a"), (1, "a"), (3, "c")]
    assert rows(ours.intersect_all(theirs)) == [(1, "a"), (2, None), (2, None)]
    assert rows(ours.minus(theirs)) == [(3, "c")] and rows(ours.intersect(theirs)) == [(1, "a"), (2, None)]
    assert ours.minus_all(theirs).columns == ["n", "s"]
