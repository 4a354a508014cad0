"""Changes that groups tell: the cases that were measured on PyFlink (L1 to L13), at all sizes of caches."""

from __future__ import annotations

from typing import Any

import pytest
from fake_state import Memory
from group_support import SIZES, Groups, Top2, Total, top2, total

ALL_SIZES = pytest.mark.parametrize("size", SIZES)


def sums(size: int, memory: Memory | None = None, **options: Any) -> Groups:
    return Groups([total()], [Total()], size, memory, **options)


def tops(size: int, **options: Any) -> Groups:
    return Groups([top2()], [Top2()], size, is_table=True, **options)


@ALL_SIZES
def test_l1_a_key_is_told_once_for_each_bundle(size: int) -> None:
    groups = sums(size)
    assert groups.run(("+I", "a", 1), ("+I", "a", 2), ("+I", "b", 5)) == [("+I", "a", 3), ("+I", "b", 5)]
    groups.restart()
    assert groups.run(("+I", "a", 4)) == [("-U", "a", 3), ("+U", "a", 7)]


@ALL_SIZES
def test_l2_what_stays_the_same_is_not_told(size: int) -> None:
    groups = sums(size)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", 1)]
    assert groups.run(("+I", "a", 0)) == []


@ALL_SIZES
def test_l3_without_update_before(size: int) -> None:
    groups = sums(size, update_before=False)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", 1)]
    assert groups.run(("+I", "a", 2)) == [("+U", "a", 3)]


@ALL_SIZES
def test_l4_a_group_without_rows_is_deleted(size: int) -> None:
    groups = sums(size)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", 1)]
    assert groups.run(("-D", "a", 1)) == [("-D", "a", 1)]
    assert groups.memory.entries == {}


@ALL_SIZES
def test_l5_a_group_that_comes_and_goes_in_a_bundle(size: int) -> None:
    groups = sums(size)
    assert groups.run(("+I", "a", 1), ("-D", "a", 1)) == []
    assert groups.memory.entries == {}


@ALL_SIZES
def test_l6_leading_retractions_of_a_new_key_are_skipped(size: int) -> None:
    assert sums(size).run(("-D", "a", 1), ("+I", "a", 7)) == [("+I", "a", 7)]


@ALL_SIZES
def test_l7_a_retraction_for_an_unknown_key_ends_nothing(size: int) -> None:  # D11
    groups = sums(size)
    assert groups.run(("-D", "x", 1), ("+I", "b", 7)) == [("+I", "b", 7)]
    assert groups.run(("+I", "c", 1)) == [("+I", "c", 1)]


@ALL_SIZES
def test_l8_a_group_that_is_empty_within_a_bundle_goes_on(size: int) -> None:
    groups = sums(size)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", 1)]
    assert groups.run(("-D", "a", 1), ("+I", "a", 9)) == [("-U", "a", 1), ("+U", "a", 9)]


@ALL_SIZES
def test_l9_updates_of_the_input(size: int) -> None:
    groups = sums(size)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", 1)]
    assert groups.run(("-U", "a", 1), ("+U", "a", 3)) == [("-U", "a", 1), ("+U", "a", 3)]


@ALL_SIZES
def test_l10_null_is_a_key(size: int) -> None:
    assert sums(size).run(("+I", None, 1), ("+I", None, 2)) == [("+I", None, 3)]


@ALL_SIZES
def test_l11_all_rows_of_a_table_aggregate_are_told_anew(size: int) -> None:
    groups = tops(size)
    assert groups.run(("+I", "a", 1), ("+I", "a", 5)) == [("+I", "a", 5), ("+I", "a", 1)]
    groups.restart()
    deleted, inserted = [("-D", "a", 5), ("-D", "a", 1)], [("+I", "a", 5), ("+I", "a", 3)]
    assert groups.run(("+I", "a", 3)) == [*deleted, *inserted]
    again = [("-D", "a", 5), ("-D", "a", 3), ("+I", "a", 5), ("+I", "a", 3)]
    assert groups.run(("+I", "a", 0)) == again
    assert groups.run(("-D", "a", 5)) == [("-D", "a", 5), ("-D", "a", 3), ("+I", "a", 3), ("+I", "a", 1)]


@ALL_SIZES
def test_l12_a_table_aggregate_without_update_before(size: int) -> None:
    groups = tops(size, update_before=False)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", 1)]
    assert groups.run(("+I", "a", 3)) == [("+I", "a", 3), ("+I", "a", 1)]


@ALL_SIZES
def test_l13_a_table_aggregates_group_without_rows(size: int) -> None:
    groups = tops(size)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", 1)]
    assert groups.run(("-D", "a", 1)) == [("-D", "a", 1)]
    assert groups.memory.entries == {}


class Incremental(Top2):
    """Tells what has changed itself."""

    def create_accumulator(self) -> Any:
        accumulator = super().create_accumulator()
        return type(accumulator)(accumulator[0], [])

    def emit_update_with_retract(self, accumulator: Any, out: Any) -> None:
        now = list(self.emit_value(accumulator))
        for value in accumulator[1]:
            if value not in now:
                out.retract(value)
        for value in now:
            if value not in accumulator[1]:
                out.collect(value)
        accumulator[1] = now


@ALL_SIZES
def test_a_table_aggregate_that_tells_its_changes_itself(size: int) -> None:
    groups = Groups([top2()], [Incremental()], size, is_table=True)
    groups.spec.calls[0].accumulator_type = None
    assert groups.run(("+I", "a", 1), ("+I", "a", 5)) == [("+I", "a", 5), ("+I", "a", 1)]
    groups.restart()
    assert groups.run(("+I", "a", 3)) == [("-D", "a", 1), ("+I", "a", 3)]
    assert groups.run(("+I", "a", 0)) == []
    assert groups.run(*(("-D", "a", value) for value in (0, 1, 3, 5))) == [("-D", "a", 5), ("-D", "a", 3)]
    assert groups.memory.entries == {}


def test_a_row_that_was_never_told_cannot_be_taken_back() -> None:
    class Wrong(Top2):
        def emit_update_with_retract(self, accumulator: Any, out: Any) -> None:
            out.retract(17)

    with pytest.raises(ValueError, match="can't be taken back"):
        Groups([top2()], [Wrong()], is_table=True).run(("+I", "a", 1))


def test_rows_that_only_come_need_no_count() -> None:
    groups = sums(1000, changelog=False)
    assert groups.run(("+I", "a", 1), ("+I", "a", -1)) == [("+I", "a", 0)]


def test_a_bundle_that_fails_leaves_nothing() -> None:
    groups = sums(1000)
    groups.run(("+I", "a", 1))
    before = dict(groups.memory.entries)
    with pytest.raises(TypeError):
        groups.run(("+I", "a", 1), ("+I", "b", "no number"))
    groups.restart()
    assert groups.memory.entries == before
    assert groups.run(("+I", "a", 1)) == [("-U", "a", 1), ("+U", "a", 2)]
