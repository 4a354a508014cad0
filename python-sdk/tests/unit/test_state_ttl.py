"""How long values of each kind of state live: all update types and visibilities, at all sizes of caches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fake_state import Memory

from udfleet import (
    AggregatingStateDescriptor,
    DataTypes,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from udfleet._state.backend import CacheSizes
from udfleet._state.codec import codec_of
from udfleet._state.keyed_states import KeyedStates

BIGINT = DataTypes.BIGINT()
SIZES = [0, 1, 2, 1000]
UpdateType, Visibility = StateTtlConfig.UpdateType, StateTtlConfig.StateVisibility


class Adding:
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: int, accumulator: int) -> int:
        return accumulator + value

    def get_result(self, accumulator: int) -> int:
        return accumulator


KINDS: dict[str, tuple[Any, Callable[[KeyedStates, Any], Any], Callable[[Any], None], Callable[[Any], Any]]] = {
    "value": (
        lambda: ValueStateDescriptor("s", BIGINT),
        KeyedStates.get_state,
        lambda state: state.update(7),
        lambda state: state.value(),
    ),
    "list": (
        lambda: ListStateDescriptor("s", BIGINT),
        KeyedStates.get_list_state,
        lambda state: state.add(7),
        lambda state: next(iter(state.get()), None),
    ),
    "map": (
        lambda: MapStateDescriptor("s", BIGINT, BIGINT),
        KeyedStates.get_map_state,
        lambda state: state.put(1, 7),
        lambda state: state.get(1),
    ),
    "map entries": (
        lambda: MapStateDescriptor("s", BIGINT, BIGINT),
        KeyedStates.get_map_state,
        lambda state: state.put(1, 7),
        lambda state: dict(state.items()).get(1),
    ),
    "reducing": (
        lambda: ReducingStateDescriptor("s", lambda one, other: one + other, BIGINT),
        KeyedStates.get_reducing_state,
        lambda state: state.add(7),
        lambda state: state.get(),
    ),
    "aggregating": (
        lambda: AggregatingStateDescriptor("s", Adding(), BIGINT),
        KeyedStates.get_aggregating_state,
        lambda state: state.add(7),
        lambda state: state.get(),
    ),
}
LIVES = [
    (UpdateType.OnCreateAndWrite, Visibility.NeverReturnExpired, [7, None, None]),
    (UpdateType.OnCreateAndWrite, Visibility.ReturnExpiredIfNotCleanedUp, [7, 7, 7]),
    (UpdateType.OnReadAndWrite, Visibility.NeverReturnExpired, [7, 7, None]),
    (UpdateType.OnReadAndWrite, Visibility.ReturnExpiredIfNotCleanedUp, [7, 7, 7]),
    (UpdateType.Disabled, Visibility.NeverReturnExpired, [7, 7, 7]),
]
"""What is read 900, 1,500 and 3,000 ms after a write of values that live a second."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("update", "visibility", "expected"), LIVES)
def test_how_long_values_live(
    size: int, restarts: bool, kind: str, update: Any, visibility: Any, expected: list[int | None]
) -> None:
    memory = Memory()
    make, get, write, read = KINDS[kind]
    builder = StateTtlConfig.new_builder(timedelta(seconds=1))
    config = builder.set_update_type(update).set_state_visibility(visibility).build()

    def opened() -> tuple[KeyedStates, Any]:
        states = KeyedStates(memory, codec_of, CacheSizes(size, size, size, max(1, size)))
        descriptor = make()
        descriptor.enable_time_to_live(config)
        return states, get(states, descriptor)

    states, state = opened()
    states.begin(1, 0, [b"k"])
    states.set_current_key(b"k")
    write(state)
    states.commit()
    found = []
    for bundle, now in enumerate([900, 1500, 3000], 2):
        if restarts:
            states, state = opened()
        # Another key comes first, so that caches drop what they can.
        states.begin(bundle, now, [b"other", b"k"])
        states.set_current_key(b"other")
        read(state)
        states.set_current_key(b"k")
        found.append(read(state))
        states.commit()
    assert found == expected
    if expected[-1] is None:
        # What was seen to be expired is deleted, and never comes back, whatever the clock does.
        assert not memory.entries
        states.begin(9, 0, [b"k"])
        states.set_current_key(b"k")
        assert read(state) is None
