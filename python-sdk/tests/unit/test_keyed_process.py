"""Functions with keyed state, run in bundles over a backend in memory."""

from __future__ import annotations

from typing import Any

import pytest
from fake_state import Json, Memory

from udfleet import DataTypes, Row
from udfleet._state.descriptors import MapStateDescriptor, ValueStateDescriptor
from udfleet._state.keyed_states import KeyedStates
from udfleet._state.process_function import KeyedProcess, KeyedProcessFunction
from udfleet.functions import FunctionContext


class Sessions(KeyedProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self.limit = int(runtime_context.get_job_parameter("limit", "100"))
        self.rows = 0
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", DataTypes.BIGINT()))
        descriptor = MapStateDescriptor("pages", DataTypes.STRING(), DataTypes.BIGINT())
        self.pages = runtime_context.get_map_state(descriptor)

    def process_element(self, value: Row, ctx: Any) -> Any:
        self.rows += 1
        if value.page == "bad":
            raise ValueError("bad page")
        n = (self.seen.value() or 0) + 1
        self.seen.update(n)
        self.pages.put(value.page, (self.pages.get(value.page) or 0) + 1)
        if n <= self.limit:
            yield ctx.get_current_key(), n, self.pages.get(value.page), self.rows


def process_on(memory: Memory, **parameters: str) -> KeyedProcess:
    return KeyedProcess(Sessions, lambda: KeyedStates(memory, Json), FunctionContext(None, parameters))


def rows(*given: str) -> list[tuple[bytes, Any, Row]]:
    pairs = [text.split(":") for text in given]
    return [(user.encode(), user, Row(user=user, page=page)) for user, page in pairs]


def run(process: KeyedProcess, bundle: int, given: list[tuple[bytes, Any, Row]]) -> list[Any]:
    """A bundle as the interpreter runs it."""
    process.begin(bundle, 0, [encoded for encoded, _, _ in given], [key for _, key, _ in given])
    results = [result for _, _, row in given for result in process.process(row)]
    process.finish()
    return results


def test_state_is_that_of_the_rows_key_and_lasts() -> None:
    memory = Memory()
    process = process_on(memory)
    assert run(process, 1, rows("a:x", "b:x", "a:y")) == [("a", 1, 1, 1), ("b", 1, 1, 2), ("a", 2, 1, 3)]
    process.close()
    assert run(process_on(memory), 2, rows("a:x")) == [("a", 3, 2, 1)]


def test_a_bundle_that_fails_leaves_neither_state_nor_instance() -> None:
    memory = Memory()
    process = process_on(memory)
    assert len(run(process, 1, rows("a:x"))) == 1
    before = dict(memory.entries)
    with pytest.raises(ValueError):
        run(process, 2, rows("a:x", "a:bad"))
    process.close()
    assert memory.entries == before
    assert run(process, 2, rows("a:x")) == [("a", 2, 2, 1)]


def test_a_row_may_have_no_result_and_parameters_are_there() -> None:
    process = process_on(Memory(), limit="1")
    assert run(process, 1, rows("a:x", "a:x", "b:x")) == [("a", 1, 1, 1), ("b", 1, 1, 3)]
