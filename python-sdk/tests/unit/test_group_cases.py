"""Cases of PyFlink's own tests (C1 to C5, C18, C19): groups of groups' changes, at all sizes of caches and bundles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from fake_state import Memory
from group_support import BIGINT, BUNDLES, SIZES, STRING, DistinctByView, Groups, builtin, materialized

from udfleet import (
    AggregateFunction,
    AggregatingStateDescriptor,
    DataTypes,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapView,
    ReducingStateDescriptor,
    Row,
    StateTtlConfig,
    ValueStateDescriptor,
)
from udfleet._state.backend import CacheSizes
from udfleet._state.codec import codec_of
from udfleet._state.group_spec import AggregateCall
from udfleet._state.keyed_states import KeyedStates
from udfleet._state.process_function import KeyedProcess
from udfleet.functions import FunctionContext

COMBINATIONS = [
    pytest.mark.parametrize("size", SIZES),
    pytest.mark.parametrize("bundle", BUNDLES),
]


def combined(test: Any) -> Any:
    for mark in COMBINATIONS:
        test = mark(test)
    return test


def through(first: Groups, second: Groups, bundle: int | None, rows: Sequence[Any], key: Any) -> list[Any]:
    """Changes of the second, to which each bundle's changes of the first go: `key` makes its rows of them."""
    step = bundle or len(rows)
    changes: list[Any] = []
    for start in range(0, len(rows), step):
        given = [(kind, *key(*row)) for kind, *row in first.run(*rows[start : start + step])]
        changes += second.run_in(bundle, given)
    return changes


def last_values(size: int) -> Groups:
    """LAST_VALUE(b), LAST_VALUE(c) per a."""
    calls = [builtin("last_value", STRING, STRING, arguments=[index]) for index in (1, 2)]
    return Groups(calls, size=size, changelog=False)


R = [
    ("+I", *row)
    for row in [
        (1, "Hi_", "hi"),
        (1, "Hi", "hi"),
        (2, "hello", "hello"),
        (3, "Hi_", "hi"),
        (3, "Hi", "hi"),
        (4, "hello", "hello"),
        (5, "Hi2_", "hi"),
        (5, "Hi2", "hi"),
        (6, "hello2", "hello"),
        (7, "Hi", "hi"),
        (8, "hello", "hello"),
        (9, "Hi2", "hi"),
        (13, "Hi3", "hi"),
    ]
]


@combined
def test_c1_groups_of_groups(size: int, bundle: int | None) -> None:
    rows = [("+I", text, number) for number, text in [(1, "Hello"), (3, "hi"), (3, "hi"), (3, "hi2"), (2, "Hello")]]
    first = Groups([builtin("count", arguments=[]), builtin("sum")], size=size, changelog=False)
    calls = [builtin("count", arguments=[]), builtin("sum"), builtin("sum0")]
    second = Groups(calls, size=size)
    changes = through(first, second, bundle, rows, lambda _key, _count, total: (None, total))
    assert materialized(changes) == [(None, 3, 12, 12)]


class SortedConcat(AggregateFunction):
    """Texts in their order, kept in a list."""

    def create_accumulator(self) -> Any:
        return [[]]

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        if args[0] is not None:
            accumulator[0].append(args[0])

    def retract(self, accumulator: Any, *args: Any) -> None:
        if args[0] is not None:
            accumulator[0].remove(args[0])

    def get_value(self, accumulator: Any) -> Any:
        return ",".join(sorted(accumulator[0]))


@combined
def test_c2_many_aggregates_of_a_changelog(size: int, bundle: int | None) -> None:
    table = [
        (1, "Hi_", 1),
        (1, "Hi", 2),
        (2, "Hi_", 3),
        (2, "Hi", 4),
        (3, None, None),
        (3, None, None),
        (4, "hello2_", 7),
        (4, "hello2", 8),
        (5, "hello_", 9),
        (5, "hello", 10),
    ]
    rows = [("+I", *row) for row in table]
    first = Groups(
        [builtin("last_value", STRING, STRING, arguments=[1]), builtin("last_value", arguments=[2])],
        size=size,
        changelog=False,
    )
    calls = [
        AggregateCall("concat", 0, [1], [STRING], STRING),
        builtin("count", arguments=[2]),
        builtin("count", arguments=[]),
        *[builtin(name, arguments=[2]) for name in ("max", "min", "sum", "avg")],
    ]
    second = Groups(calls, [SortedConcat()], size=size)
    changes = through(first, second, bundle, rows, lambda _key, b, c: (None, b, c))
    # Each key comes once to the second where one bundle has all.
    assert changes[-1][0] == ("+I" if bundle is None else "+U")
    assert changes[-1][1:] == (None, "Hi,Hi,hello,hello2", 4, 5, 10, 2, 24, 6)
    assert materialized(changes) == [changes[-1][1:]]


VIEWS = DataTypes.ROW(
    [
        DataTypes.FIELD("count", BIGINT),
        DataTypes.FIELD("counts", DataTypes.MAP(STRING, BIGINT)),
        DataTypes.FIELD("all", DataTypes.ARRAY(STRING)),
    ]
)


@combined
def test_c3_different_values_by_a_view(size: int, bundle: int | None) -> None:
    call = AggregateCall("distinct", 0, [1], [STRING], BIGINT, VIEWS)
    second = Groups([call, builtin("count", given=STRING, distinct=True)], [DistinctByView()], size=size)
    changes = through(last_values(size), second, bundle, R, lambda _key, b, c: (c, b))
    assert materialized(changes) == [("hello", 2, 2), ("hi", 3, 3)]


class Counts(AggregateFunction):
    """What a view holds, as text; a value that is gone is removed by an iterator."""

    def create_accumulator(self) -> Any:
        return Row(MapView())

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        accumulator[0][args[0]] = (accumulator[0].get(args[0]) or 0) + 1

    def retract(self, accumulator: Any, *args: Any) -> None:
        left = accumulator[0][args[0]] - 1
        if left:
            accumulator[0][args[0]] = left
            return
        entries = accumulator[0].items()
        for key, _ in entries:
            if key == args[0]:
                entries.remove()

    def get_value(self, accumulator: Any) -> Any:
        return ",".join(sorted(f"{key}:{count}" for key, count in accumulator[0].items()))


@combined
def test_c4_views_are_iterated_over_in_pages_and_removed_from(size: int, bundle: int | None) -> None:
    accumulator = DataTypes.ROW([DataTypes.FIELD("counts", DataTypes.MAP(STRING, BIGINT))])
    second = Groups([AggregateCall("counts", 0, [1], [STRING], STRING, accumulator)], [Counts()], size=size, page=2)
    changes = through(last_values(size), second, bundle, R, lambda _key, b, c: (c, b))
    assert materialized(changes) == [("hello", "hello2:1,hello:3"), ("hi", "Hi2:2,Hi3:1,Hi:3")]


@combined
def test_c5_count_and_sum(size: int, bundle: int | None) -> None:
    rows = [("+I", *row) for row in [(1, 2), (2, 1), (1, 5), (1, 8), (2, 3)]]
    groups = Groups([builtin("count", arguments=[]), builtin("sum")], size=size, changelog=False)
    assert materialized(groups.run_in(bundle, rows)) == [(1, 3, 15), (2, 2, 4)]


def processed(function: Any, size: int, bundle: int | None, rows: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Results of a function that keeps state for rows `(key, value)`."""
    memory = Memory()
    sizes = CacheSizes(size, size, size, max(1, size))
    process = KeyedProcess(function, lambda: KeyedStates(memory, codec_of, sizes), FunctionContext())
    step = bundle or len(rows)
    results: list[Any] = []
    for number, start in enumerate(range(0, len(rows), step)):
        piece = rows[start : start + step]
        process.begin(number + 1, number, [str(key).encode() for key, _ in piece], [key for key, _ in piece])
        results += [result for _, value in piece for result in process.process(Row(v=value))]
        process.finish()
    return results


class CountWindow(KeyedProcessFunction):
    """The sum of each so many values: a count window, of which one that is not full gives nothing."""

    size = 2

    def open(self, runtime_context: Any) -> None:
        self.values = runtime_context.get_list_state(ListStateDescriptor("values", BIGINT))
        self.count = runtime_context.get_state(ValueStateDescriptor("count", BIGINT))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.values.add(value.v)
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        if count == self.size:
            yield ctx.get_current_key(), sum(self.values.get())
            self.values.clear()
            self.count.clear()


@combined
def test_c6_count_windows_of_two(size: int, bundle: int | None) -> None:
    rows = [(1, 2), (3, 2), (2, 1), (1, 3), (1, 8), (2, 3), (3, 3)]
    assert sorted(processed(CountWindow, size, bundle, rows)) == [(1, 5), (2, 4), (3, 5)]


@combined
def test_c15_count_windows_of_three(size: int, bundle: int | None) -> None:
    class Three(CountWindow):
        size = 3

    rows = [("hi" if number % 2 else "hello", number) for number in (1, 2, 3, 4, 5, 6, 6)]
    assert sorted(processed(Three, size, bundle, rows)) == [("hello", 12), ("hi", 9)]


@combined
def test_c16_a_purging_count_trigger(size: int, bundle: int | None) -> None:
    class Counting(CountWindow):
        def process_element(self, value: Any, ctx: Any) -> Any:
            for _ in super().process_element(value, ctx):
                yield self.size

    assert processed(Counting, size, bundle, [(0, 1)] * 7) == [2, 2, 2]


class Adding:
    """An aggregate whose accumulators have a type."""

    def create_accumulator(self) -> Any:
        return 0

    def add(self, value: Any, accumulator: Any) -> Any:
        return accumulator + value

    def get_result(self, accumulator: Any) -> Any:
        return accumulator


class RunningSums(KeyedProcessFunction):
    """A reducing state and an aggregating one, whose values live while they are read."""

    def open(self, runtime_context: Any) -> None:
        self.reduced = runtime_context.get_reducing_state(
            ReducingStateDescriptor("reduced", lambda one, other: one + other, BIGINT)
        )
        aggregated = AggregatingStateDescriptor("aggregated", Adding(), BIGINT)
        builder = StateTtlConfig.new_builder(timedelta(seconds=1))
        aggregated.enable_time_to_live(builder.update_ttl_on_read_and_write().build())
        self.aggregated = runtime_context.get_aggregating_state(aggregated)

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.reduced.add(value.v)
        self.aggregated.add(value.v)
        yield ctx.get_current_key(), self.reduced.get(), self.aggregated.get()


@combined
def test_c18_reducing_and_aggregating_state(size: int, bundle: int | None) -> None:
    rows = [("hi" if number % 2 else "hello", number) for number in range(1, 7)]
    results = processed(RunningSums, size, bundle, rows)
    assert [row[1:] for row in results if row[0] == "hi"] == [(1, 1), (4, 4), (9, 9)]
    assert [row[1:] for row in results if row[0] == "hello"] == [(2, 2), (6, 6), (12, 12)]


@combined
def test_c19_a_reduce_that_concatenates(size: int, bundle: int | None) -> None:
    class Concat(KeyedProcessFunction):
        def open(self, runtime_context: Any) -> None:
            descriptor = ReducingStateDescriptor("text", lambda one, other: one + other, STRING)
            self.text = runtime_context.get_reducing_state(descriptor)

        def process_element(self, value: Any, ctx: Any) -> Any:
            self.text.add(value.v)
            yield self.text.get()

    rows = [(number, text) for text, number in [("a", 0), ("c", 1), ("d", 1), ("b", 0), ("e", 1)]]
    assert sorted(processed(Concat, size, bundle, rows)) == ["a", "ab", "c", "cd", "cde"]
