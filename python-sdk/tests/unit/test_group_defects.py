"""Defects of PyFlink's aggregates that groups of streams do not have: D8 to D11 and D14 of what is known of it. Those of
its states are in test_keyed_states.py.
"""

from __future__ import annotations

import decimal
import itertools
import math
import pickle
from typing import Any

import pytest
from group_support import BIGINT, SIZES, DistinctByView, Groups, Top2, Total, builtin, top2, total

from udfleet import AggregateFunction, DataTypes
from udfleet._state.group_spec import AggregateCall, spec_of
from udfleet._state.stream_aggregates import check_types

ALL_SIZES = pytest.mark.parametrize("size", SIZES)


@ALL_SIZES
def test_d8_an_expired_group_has_no_distinct_counts(size: int) -> None:
    groups = Groups([builtin("sum", distinct=True)], size=size, ttl_ms=1000)
    assert groups.run(("+I", "a", 5), ("+I", "a", 5), now=0) == [("+I", "a", 5)]
    assert groups.run(("+I", "a", 5), now=5000) == [("+I", "a", 5)]


@ALL_SIZES
def test_an_expired_group_has_no_views(size: int) -> None:
    accumulator = DataTypes.ROW(
        [
            DataTypes.FIELD("count", BIGINT),
            DataTypes.FIELD("counts", DataTypes.MAP(BIGINT, BIGINT)),
            DataTypes.FIELD("all", DataTypes.ARRAY(BIGINT)),
        ]
    )
    groups = Groups([AggregateCall("d", 0, [1], [BIGINT], BIGINT, accumulator)], [DistinctByView()], size, ttl_ms=1000)
    assert groups.run(("+I", "a", 1), ("+I", "a", 2), now=0) == [("+I", "a", 2)]
    groups.restart()
    assert groups.run(("+I", "a", 1), now=1000) == [("+I", "a", 1)]


@ALL_SIZES
def test_each_row_begins_a_groups_time_anew(size: int) -> None:
    groups = Groups([total()], [Total()], size, ttl_ms=1000)
    assert groups.run(("+I", "a", 1), now=0) == [("+I", "a", 1)]
    assert groups.run(("+I", "a", 1), now=999) == [("-U", "a", 1), ("+U", "a", 2)]
    assert groups.run(("+I", "a", 1), now=1998) == [("-U", "a", 2), ("+U", "a", 3)]
    assert groups.run(("+I", "a", 1), now=2998) == [("+I", "a", 1)]


class Listing(AggregateFunction):
    """Gives its accumulator's own list."""

    def create_accumulator(self) -> Any:
        return [[]]

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        accumulator[0].append(args[0])

    def get_value(self, accumulator: Any) -> Any:
        return accumulator[0]


@ALL_SIZES
def test_d9_a_value_that_is_part_of_the_accumulator(size: int) -> None:
    groups = Groups([AggregateCall("list", 0, [1], [BIGINT], DataTypes.ARRAY(BIGINT))], [Listing()], size)
    assert groups.run(("+I", "a", 1)) == [("+I", "a", [1])]
    assert groups.run(("+I", "a", 2)) == [("-U", "a", [1]), ("+U", "a", [1, 2])]


@ALL_SIZES
def test_d10_nan_is_equal_to_itself(size: int) -> None:
    double = DataTypes.DOUBLE()
    groups = Groups([builtin("sum", double, double)], size=size)
    ((kind, key, value),) = groups.run(("+I", "a", math.nan))
    assert (kind, key) == ("+I", "a")
    assert math.isnan(value)
    groups.restart()
    assert groups.run(("+I", "a", 1.0)) == []
    # A key that is NaN is one group, within a bundle too.
    ((kind, key, value),) = groups.run(("+I", math.nan, 1.0), ("+I", float("nan"), 2.0))
    assert (kind, value) == ("+I", 3.0)
    assert math.isnan(key)


@ALL_SIZES
def test_d10_nan_within_a_list(size: int) -> None:
    double = DataTypes.DOUBLE()

    class Once(Listing):
        def accumulate(self, accumulator: Any, *args: Any) -> None:
            if not accumulator[0]:
                accumulator[0].append(args[0])

    groups = Groups([AggregateCall("list", 0, [1], [double], DataTypes.ARRAY(double))], [Once()], size)
    assert len(groups.run(("+I", "a", math.nan))) == 1
    assert groups.run(("+I", "a", 1.0)) == []


@ALL_SIZES
def test_d11_a_retraction_for_an_unknown_key_leaves_the_others(size: int) -> None:
    groups = Groups([top2()], [Top2()], size, is_table=True)
    assert groups.run(("+I", "a", 1), ("-D", "x", 1), ("+I", "b", 2)) == [("+I", "a", 1), ("+I", "b", 2)]
    assert groups.run(("-U", "x", 1)) == []


@ALL_SIZES
def test_d14_where_groups_expire_a_value_that_stays_the_same_is_told(size: int) -> None:
    groups = Groups([total()], [Total()], size, ttl_ms=1000)
    assert groups.run(("+I", "a", 1), now=0) == [("+I", "a", 1)]
    assert groups.run(("+I", "a", 0), now=10) == [("-U", "a", 1), ("+U", "a", 1)]


def test_an_accumulator_that_does_not_fit_its_type_is_an_error() -> None:
    groups = Groups([total(accumulator_type=DataTypes.ARRAY(DataTypes.TINYINT()))], [Total()])
    groups.run(("+I", "a", 100))
    with pytest.raises(TypeError, match="does not fit"):
        groups.run(("+I", "a", 100))


@ALL_SIZES
def test_conditions_that_are_null_are_false_and_distinct_has_all_arguments(size: int) -> None:
    calls = [builtin("count", condition=2, arguments=[1]), builtin("sum", distinct=True, condition=2)]
    groups = Groups(calls, size=size)
    rows = [("+I", "a", 5, True), ("+I", "a", 5, True), ("+I", "a", 7, None), ("+I", "a", 9, False)]
    assert groups.run(*rows) == [("+I", "a", 2, 5)]
    assert groups.run(("-D", "a", 5, True)) == [("-U", "a", 2, 5), ("+U", "a", 1, 5)]
    assert groups.run(("-D", "a", 5, True), ("-D", "a", 7, None)) == [("-U", "a", 1, 5), ("+U", "a", 0, None)]
    assert groups.run(("-D", "a", 9, False)) == [("-D", "a", 0, None)]
    assert groups.memory.entries == {}


@ALL_SIZES
def test_built_in_aggregates_take_rows_back(size: int) -> None:
    text, names = DataTypes.STRING(), ["first_value", "last_value", "listagg"]
    calls = [builtin(name, text, text) for name in names]
    calls += [builtin("array_agg", DataTypes.ARRAY(text), text), builtin("collect", DataTypes.MULTISET(text), text)]
    calls += [builtin("min", text, text), builtin("max", text, text)]
    groups = Groups(calls, size=size)
    rows = [("+I", "k", value) for value in ("b", "a", "c", "b")]
    assert groups.run(*rows) == [
        ("+I", "k", "b", "b", "b,a,c,b", ["b", "a", "c", "b"], {"a": 1, "b": 2, "c": 1}, "a", "c")
    ]
    groups.restart()
    after = groups.run(("-D", "k", "b"), ("-D", "k", "c"))[-1]
    assert after == ("+U", "k", "a", "b", "a,b", ["a", "b"], {"a": 1, "b": 1}, "a", "b")
    assert groups.run(("-D", "k", "a"), ("-D", "k", "b"))[-1][0] == "-D"
    assert groups.memory.entries == {}


@ALL_SIZES
def test_sums_of_decimals_have_all_their_digits(size: int) -> None:
    money, average = DataTypes.DECIMAL(38, 2), DataTypes.DECIMAL(38, 6)
    calls = [builtin("sum", money, money), builtin("sum0", money, money), builtin("avg", average, money)]
    groups = Groups(calls, size=size)
    large, small = decimal.Decimal("123456789012345678901234567890123456.78"), decimal.Decimal("0.01")
    before = groups.run(("+I", "k", small))
    assert before == [("+I", "k", small, small, small)]
    groups.restart()
    both = decimal.Decimal("123456789012345678901234567890123456.79")
    half = decimal.Decimal("61728394506172839450617283945061728.395000")
    with decimal.localcontext(decimal.Context(prec=5)):
        assert groups.run(("+I", "k", large))[-1] == ("+U", "k", both, both, half)
        assert groups.run(("-D", "k", large))[-1] == ("+U", "k", small, small, small)


@ALL_SIZES
def test_nan_is_taken_back(size: int) -> None:
    double = DataTypes.DOUBLE()
    calls = [builtin(name, double, double) for name in ("first_value", "last_value", "min", "max")]
    groups = Groups([*calls, builtin("array_agg", DataTypes.ARRAY(double), double)], size=size)
    groups.run(("+I", "k", math.nan), ("+I", "k", 2.0), ("+I", "k", 1.0), ("+I", "k", float("nan")))
    groups.restart()
    # The first of two goes, then the other one.
    assert str(groups.run(("-D", "k", float("nan")))[-1]) == str(
        ("+U", "k", 2.0, math.nan, 1.0, math.nan, [2.0, 1.0, math.nan])
    )
    groups.restart()
    assert groups.run(("-D", "k", math.nan))[-1] == ("+U", "k", 2.0, 1.0, 1.0, 2.0, [2.0, 1.0])


@ALL_SIZES
@pytest.mark.parametrize("changelog", [True, False])
def test_nan_is_the_greatest_number_in_whatever_order_it_comes(size: int, changelog: bool) -> None:
    double = DataTypes.DOUBLE()
    for values in itertools.permutations([math.nan, 1.0, math.inf]):
        groups = Groups(
            [builtin("min", double, double), builtin("max", double, double)], size=size, changelog=changelog
        )
        ((_, _, least, greatest),) = groups.run(*[("+I", "k", value) for value in values])
        assert least == 1.0
        assert math.isnan(greatest)
        groups = Groups([builtin("min", double, double)], size=size, changelog=changelog)
        ((_, _, least),) = groups.run(("+I", "k", math.nan))
        assert math.isnan(least)


def test_types_that_state_can_not_have_are_named() -> None:
    span = DataTypes.INTERVAL(DataTypes.DAY(), DataTypes.SECOND())
    check_types(builtin("max", span, span), retracts=False)
    for call, retracts in [(builtin("max", span, span), True), (builtin("count", given=span, distinct=True), False)]:
        with pytest.raises(TypeError, match="INTERVAL"):
            check_types(call, retracts)


def test_a_spec_is_one_text_whoever_writes_it() -> None:
    kind = DataTypes.ROW(
        [DataTypes.FIELD("a `b`, c", DataTypes.DECIMAL(5, 2).not_null()), DataTypes.FIELD("d", BIGINT)]
    )
    groups = Groups([total(accumulator_type=kind), builtin("count", arguments=[])], [Total()], ttl_ms=7)
    text = groups.spec.text()
    again = spec_of(text)
    assert again.text() == text
    assert again.calls[0].accumulator_type == kind
    assert pickle.dumps(again) == pickle.dumps(groups.spec)
