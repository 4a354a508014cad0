"""States that a stream has, and what the next version of its function may declare."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from udfleet import (
    DataTypes,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from udfleet._state.layout import LAYOUT_KEY, StateLayout, StateLayoutError, recorded


class Backend:
    """What is written, as a dict."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.reads = 0

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads += 1
        return [self.entries.get(key) for key in keys]

    def commit(self, layout: StateLayout) -> int:
        changes = layout.take_changes()
        self.entries.update({key: value for key, value in changes if value is not None})
        return len(changes)


def expiring(descriptor: Any, hours: int) -> Any:
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(timedelta(hours=hours)).build())
    return descriptor


def declared(backend: Backend, *descriptors: Any) -> int:
    layout = StateLayout(backend)  # type: ignore[arg-type]
    for descriptor in descriptors:
        layout.declare(descriptor)
    return backend.commit(layout)


BIGINT, STRING = DataTypes.BIGINT(), DataTypes.STRING()


def test_what_a_function_declares_is_recorded_once() -> None:
    backend = Backend()
    pages = MapStateDescriptor("pages", STRING, DataTypes.ROW([DataTypes.FIELD("n", BIGINT)]))
    assert declared(backend, ValueStateDescriptor("seen", BIGINT), expiring(pages, 2)) == 1
    found = recorded(backend.entries[LAYOUT_KEY])
    assert {name: (state.kind, str(state.value_type)) for name, state in found.items()} == {
        "seen": ("value", "BIGINT"),
        "pages": ("map", str(pages.type_info)),
    }
    assert str(found["pages"].key_type) == str(STRING)
    config = found["pages"].ttl_config()
    assert config is not None
    assert config.milliseconds == 7_200_000
    assert declared(backend, ValueStateDescriptor("seen", BIGINT)) == 0
    assert set(recorded(backend.entries[LAYOUT_KEY])) == {"seen", "pages"}, (
        "what is no longer declared lies there still"
    )


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (DataTypes.VARCHAR(5), DataTypes.VARCHAR(9)),
        (DataTypes.DECIMAL(10, 2), DataTypes.DECIMAL(12, 2)),
        (DataTypes.ARRAY(DataTypes.INT(nullable=False)), DataTypes.ARRAY(DataTypes.INT())),
    ],
)
def test_a_type_that_takes_all_that_was_written_keeps_it(was: Any, now: Any) -> None:
    backend = Backend()
    declared(backend, ValueStateDescriptor("s", was))
    assert declared(backend, ValueStateDescriptor("s", now)) == 1
    with pytest.raises(StateLayoutError):
        declared(backend, ValueStateDescriptor("s", was))


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (ValueStateDescriptor("s", BIGINT), ValueStateDescriptor("s", STRING)),
        (ValueStateDescriptor("s", DataTypes.INT()), ValueStateDescriptor("s", BIGINT)),
        (ValueStateDescriptor("s", BIGINT), ListStateDescriptor("s", BIGINT)),
        (MapStateDescriptor("s", BIGINT, BIGINT), MapStateDescriptor("s", STRING, BIGINT)),
        (ValueStateDescriptor("s", BIGINT), expiring(ValueStateDescriptor("s", BIGINT), 1)),
        (expiring(ValueStateDescriptor("s", BIGINT), 1), ValueStateDescriptor("s", BIGINT)),
        (ValueStateDescriptor("s", DataTypes.DECIMAL(9, 2)), ValueStateDescriptor("s", DataTypes.DECIMAL(9, 3))),
    ],
)
def test_what_could_not_be_read_is_refused(was: Any, now: Any) -> None:
    backend = Backend()
    declared(backend, was)
    with pytest.raises(StateLayoutError, match="'s'"):
        declared(backend, now)


def test_another_time_to_live_and_a_reducing_state_of_values_are_kept() -> None:
    backend = Backend()
    declared(backend, expiring(ValueStateDescriptor("s", BIGINT), 1))
    assert declared(backend, expiring(ValueStateDescriptor("s", BIGINT), 2)) == 1
    assert declared(backend, expiring(ReducingStateDescriptor("s", max, BIGINT), 2)) == 1


def test_the_record_is_read_once_for_an_instance() -> None:
    backend = Backend()
    declared(backend, ValueStateDescriptor("a", BIGINT), ValueStateDescriptor("b", BIGINT))
    assert backend.reads == 1
