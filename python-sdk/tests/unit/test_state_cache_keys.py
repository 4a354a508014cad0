"""The four configuration keys of keyed state, from what an interpreter is configured with to the requests that it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_state import Memory

from udfleet import DataTypes, KeyedProcessFunction, MapStateDescriptor, ValueStateDescriptor
from udfleet._state import keyed_table
from udfleet._state.keyed_table import KeyedTableFunction
from udfleet._state.layout import LAYOUT_KEY
from udfleet.functions import FunctionContext

BIGINT = DataTypes.BIGINT()


class Doing(KeyedProcessFunction):
    """Does what a row says."""

    def open(self, runtime_context: Any) -> None:
        self.value = runtime_context.get_state(ValueStateDescriptor("value", BIGINT))
        self.map = runtime_context.get_map_state(MapStateDescriptor("map", BIGINT, BIGINT))

    def process_element(self, value: Any, ctx: Any) -> Any:
        yield value.do(self)


class Requests(Memory):
    """Counts requests but for those of a new instance about the states that its stream has."""

    def read(self, keys: Any) -> list[bytes | None]:
        return [self.entries.get(LAYOUT_KEY)] if list(keys) == [LAYOUT_KEY] else super().read(keys)

    def write(self, cleared: Any, changes: Any) -> None:
        others = [change for change in changes if change[0] != LAYOUT_KEY]
        if cleared or others:
            super().write(cleared, others)


class Interpreter:
    """Runs bundles of `(key, what to do)`; counts requests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
        self.memory = Requests()
        monkeypatch.setattr(keyed_table, "StateChannel", lambda: self.memory)
        # Each instance reads once which states there are, and writes that where it differs: `test_state_layout.py`.
        monkeypatch.setattr(keyed_table, "StateLayout", lambda _: None)
        self.function = KeyedTableFunction(Doing())
        given = {"states": 1000, "reads": 1000, "writes": 1000, "page": 1000, **sizes}
        self.function.configure(given["states"], given["reads"], given["writes"], given["page"])
        self.function.open(FunctionContext())
        self.bundles = 0

    def run(self, *rows: tuple[str, Callable[[Any], Any]]) -> list[Any]:
        self.bundles += 1
        keys = [key for key, _ in rows]
        self.function.begin(1, 7, self.bundles, 0, ["do"], [key.encode() for key in keys], [keys])
        results = [result for _, do in rows for result in self.function.eval(do)]
        self.function.finish(1)
        return results

    def requests(self, *rows: tuple[str, Callable[[Any], Any]]) -> tuple[int, int, int]:
        """How many reads, pages and writes a bundle takes."""
        memory = self.memory
        before = (len(memory.reads), memory.pages, len(memory.writes))
        self.run(*rows)
        after = (len(memory.reads), memory.pages, len(memory.writes))
        return (after[0] - before[0], after[1] - before[1], after[2] - before[2])


def count(states: Any) -> None:
    states.value.update((states.value.value() or 0) + 1)


def nothing(states: Any) -> None:
    """Only makes its key the current one."""


@pytest.mark.parametrize(("size", "writes"), [(0, 4), (1, 3), (2, 2), (1000, 1)])
def test_state_cache_size(monkeypatch: pytest.MonkeyPatch, size: int, writes: int) -> None:
    interpreter = Interpreter(monkeypatch, states=size)
    # The bundle's keys are read in one request; each state that does not fit is written when its key is left.
    assert interpreter.requests(*((key, count) for key in "abcd")) == (1, 0, writes)
    # The states of its last key are in memory whatever the size; the others as it allows.
    held = interpreter.requests(("d", count))
    assert held == (0, 0, 1)
    assert interpreter.requests(("a", count)) == ((0 if size >= 3 else 1), 0, 1)
    assert interpreter.run(*((key, lambda states: states.value.value()) for key in "abcd")) == [2, 1, 1, 2]


@pytest.mark.parametrize(("size", "reads"), [(0, 6), (1, 6), (2, 2), (1000, 2)])
def test_map_state_read_cache_size(monkeypatch: pytest.MonkeyPatch, size: int, reads: int) -> None:
    interpreter = Interpreter(monkeypatch, reads=size)
    looks = [("a", lambda states, key=key: states.map.get(key)) for key in (1, 2, 1, 2, 1, 2)]
    read, pages, writes = interpreter.requests(*looks)
    # One read is that of the key's value; absent entries are remembered as others are.
    assert (read - 1, pages, writes) == (reads, 0, 0)


def test_a_map_that_has_come_as_a_whole_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(states: Any) -> None:
        states.map.put_all({1: 1, 2: 2, 3: 3})

    def look(states: Any) -> None:
        assert dict(states.map.items()) == {1: 1, 2: 2, 3: 3}
        assert states.map.get(4) is None

    for reads, page, pages, absent in [(1000, 1000, 1, 0), (2, 1000, 2, 1), (1000, 2, 4, 1)]:
        interpreter = Interpreter(monkeypatch, reads=reads, page=page)
        interpreter.run(("a", put))
        interpreter.function.forget(1)
        read, paged, _ = interpreter.requests(("a", look), ("a", look))
        assert (read - 1, paged) == (absent, pages), (reads, page)


@pytest.mark.parametrize(("size", "writes"), [(1, 5), (2, 3), (5, 1), (1000, 1)])
def test_map_state_write_cache_size(monkeypatch: pytest.MonkeyPatch, size: int, writes: int) -> None:
    interpreter = Interpreter(monkeypatch, writes=size)
    puts = [("a", lambda states, key=key: states.map.put(key, key)) for key in range(5)]
    assert interpreter.requests(*puts)[2] == writes


def test_what_is_held_of_a_map_is_written_before_it_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = Interpreter(monkeypatch)
    put = ("a", lambda states: states.map.put(1, 1))
    assert interpreter.requests(put, ("a", lambda states: states.map.is_empty()))[1:] == (1, 1)
    # What is dropped by clear() is not written; that the map is empty then needs no request.
    interpreter.run(("a", lambda states: states.map.put(2, 2)))
    cleared = ("a", lambda states: (states.map.put(3, 3), states.map.clear(), states.map.get(1)))
    # The one read is that of the key's value, which the function never made.
    assert interpreter.requests(cleared) == (1, 0, 1)
    assert interpreter.memory.entries == {}


@pytest.mark.parametrize(("size", "pages"), [(1, 5), (2, 3), (5, 1), (1000, 1)])
def test_map_state_iterate_response_batch_size(monkeypatch: pytest.MonkeyPatch, size: int, pages: int) -> None:
    interpreter = Interpreter(monkeypatch, page=size)
    interpreter.run(("a", lambda states: states.map.put_all({key: key for key in range(5)})))
    interpreter.function.forget(1)
    assert interpreter.requests(("a", lambda states: list(states.map.keys())))[1] == pages
