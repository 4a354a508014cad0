"""Bundles as interpreters call them: those of several sessions take turns, each with its own instance and its own state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fake_state import Memory

from udfleet import DataTypes, KeyedProcessFunction, ValueStateDescriptor
from udfleet._state import keyed_table
from udfleet._state.keyed_table import KeyedTableFunction
from udfleet.functions import FunctionContext


class Counting(KeyedProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", DataTypes.BIGINT()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        for _ in range(2):
            self.seen.update((self.seen.value() or 0) + 1)
            yield ctx.get_current_key(), value.row, self.seen.value()


class Tokens:
    """A channel to the state of the bundle that shows its token."""

    def __init__(self) -> None:
        self.token = 0
        self.states: dict[int, Memory] = {}

    def __getattr__(self, method: str) -> Any:
        return getattr(self.states[self.token], method)


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Tokens:
    tokens = Tokens()
    monkeypatch.setattr(keyed_table, "StateChannel", lambda: tokens)
    return tokens


@pytest.fixture
def function(channel: Tokens) -> KeyedTableFunction:
    function = KeyedTableFunction(Counting())
    function.configure(1000, 1000, 1000, 1000)
    function.open(FunctionContext())
    return function


def begin(function: KeyedTableFunction, session: int, token: int, keys: list[str], bundle: int = 1) -> Iterator[Any]:
    """A bundle begins; its results, row by row."""
    function.begin(session, token, bundle, 0, ["row"], [key.encode() for key in keys], [keys])
    return (result for row in range(len(keys)) for result in function.eval(row))


def test_bundles_of_several_sessions_take_turns(function: KeyedTableFunction, channel: Tokens) -> None:
    channel.states = {7: Memory(), 8: Memory()}
    first = begin(function, 1, 7, ["a", "b"])
    assert [next(first) for _ in range(3)] == [("a", 0, 1), ("a", 0, 2), ("b", 1, 1)]
    second = begin(function, 2, 8, ["b", "b"])
    assert next(second) == ("b", 0, 1)
    function.resume(1)
    assert list(first) == [("b", 1, 2)]
    function.finish(1)
    function.resume(2)
    assert list(second) == [("b", 0, 2), ("b", 1, 3), ("b", 1, 4)]
    function.finish(2)
    # Each has the record of the states, too.
    assert [len(channel.states[token].entries) for token in (7, 8)] == [3, 2]


def test_a_bundle_that_is_discarded_takes_no_other_with_it(function: KeyedTableFunction, channel: Tokens) -> None:
    channel.states = {7: Memory(), 8: Memory()}
    kept = begin(function, 1, 7, ["a"])
    next(kept)
    next(begin(function, 2, 8, ["a"]))
    function.discard(2)
    function.resume(1)
    assert list(kept) == [("a", 0, 2)]
    function.finish(1)
    assert (len(channel.states[7].entries), len(channel.states[8].entries)) == (2, 0)


def test_a_bundle_that_has_ended_can_not_go_on(function: KeyedTableFunction, channel: Tokens) -> None:
    channel.states = {7: Memory()}
    assert len(list(begin(function, 1, 7, ["a"]))) == 2
    function.finish(1)
    for call in (function.resume, function.finish):
        with pytest.raises(RuntimeError, match="has ended"):
            call(1)
    with pytest.raises(RuntimeError, match="streams"):
        function.eval(0)
    assert channel.token == 0
