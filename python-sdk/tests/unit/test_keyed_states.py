"""Keyed state's caches: PyFlink's semantics without its defects, counted requests, and maps against a dict."""

from __future__ import annotations

import datetime
import decimal
import random
import signal
from datetime import timedelta
from typing import Any

import pytest
from fake_state import Json, Memory

from udfleet import DataTypes
from udfleet._state.backend import CacheSizes
from udfleet._state.codec import codec_of
from udfleet._state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from udfleet._state.keyed_states import KeyedStates

SIZES = [0, 1, 2, 1000]


def states_on(memory: Memory, size: int = 1000, page: int = 1000) -> KeyedStates:
    states = KeyedStates(memory, Json, CacheSizes(size, size, size, page))
    states.begin(1, 0)
    return states


def value_descriptor(data_type: Any = None, ttl: Any = None) -> ValueStateDescriptor:
    descriptor = ValueStateDescriptor("v", data_type or DataTypes.BIGINT())
    if ttl is not None:
        descriptor.enable_time_to_live(ttl)
    return descriptor


def map_on(memory: Memory, size: int = 1000, page: int = 1000) -> tuple[KeyedStates, Any]:
    states = states_on(memory, size, page)
    found = states.get_map_state(MapStateDescriptor("m", DataTypes.STRING(), DataTypes.BIGINT()))
    states.set_current_key(b"k")
    return states, found


def ttl(build: Any = lambda builder: builder) -> StateTtlConfig:
    config: StateTtlConfig = build(StateTtlConfig.new_builder(timedelta(seconds=1))).build()
    return config


@pytest.mark.parametrize("size", SIZES)
def test_put_all_stores_what_is_given(size: int) -> None:  # D1
    memory = Memory()
    states, found = map_on(memory, size)
    found.put_all({"ab": 1, "cd": 2})
    found.put_all([("ef", 3)])
    states.commit()
    _, again = map_on(memory, size)
    assert dict(again.items()) == {"ab": 1, "cd": 2, "ef": 3}


@pytest.mark.parametrize("size", SIZES)
def test_a_stored_none_is_contained(size: int) -> None:  # D2
    states, found = map_on(Memory(), size)
    found.put("a", None)
    assert found.contains("a")
    assert not found.contains("b")
    states.commit()
    assert "a" in found
    assert list(found.items()) == [("a", None)]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_absent_can_be_removed_after_a_clear(size: int) -> None:  # D3
    memory = Memory()
    states, found = map_on(memory, size)
    found.put("old", 1)
    states.commit()
    found.clear()
    found.put("b", 2)
    found.remove("absent")
    assert dict(found.items()) == {"b": 2}
    states.commit()
    assert len(memory.entries) == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("by_iterator", [False, True])
def test_a_map_is_empty_once_all_is_removed(size: int, by_iterator: bool) -> None:  # D4
    states, found = map_on(Memory(), size)
    found.put("a", 1)
    states.commit()
    assert not found.is_empty()
    if by_iterator:
        entries = found.items()
        for _ in entries:
            entries.remove()
    else:
        found.remove("a")
    assert found.is_empty()
    states.commit()
    assert found.is_empty()


@pytest.mark.parametrize("size", SIZES)
def test_get_while_iterating_a_map_that_is_cached(size: int) -> None:  # D5
    states, found = map_on(Memory(), size)
    found.put_all({"a": 1, "b": 2, "c": 3})
    states.commit()
    assert sum(1 for _ in found) == 3
    assert [found.get(key) for key in found] == [1, 2, 3]


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_lost_when_the_key_changes(size: int) -> None:  # D6
    memory = Memory()
    states = states_on(memory, size)
    value = states.get_state(value_descriptor())
    entries = states.get_map_state(MapStateDescriptor("m", DataTypes.STRING(), DataTypes.BIGINT()))
    for key in (b"a", b"b"):
        states.set_current_key(key)
        value.update(1)
        entries.put("x", 1)
    states.set_current_key(b"a")
    assert value.value() == 1
    value.clear()
    entries.put("y", 2)
    states.set_current_key(b"b")
    states.set_current_key(b"a")
    assert value.value() is None
    assert dict(entries.items()) == {"x": 1, "y": 2}
    states.commit()
    assert len(memory.entries) == 4


@pytest.mark.parametrize("size", SIZES)
def test_expired_values_never_come_back(size: int) -> None:  # D7
    memory = Memory()
    states = states_on(memory, size)
    value = states.get_state(value_descriptor(ttl=ttl()))
    states.set_current_key(b"k")
    value.update(1)
    states.commit()
    states.begin(2, 999)
    assert value.value() == 1
    states.commit()
    states.begin(3, 1000)
    assert value.value() is None
    states.begin(4, 0)
    assert value.value() is None
    states.commit()
    assert not memory.entries


def test_when_time_begins_anew() -> None:
    for build, at_1500 in [
        (lambda builder: builder, None),
        (lambda builder: builder.update_ttl_on_read_and_write(), 1),
        (lambda builder: builder.return_expired_if_not_cleaned_up(), 1),
    ]:
        states = states_on(Memory())
        value = states.get_state(value_descriptor(ttl=ttl(build)))
        states.set_current_key(b"k")
        value.update(1)
        states.commit()
        states.begin(2, 900)
        assert value.value() == 1
        states.commit()
        states.begin(3, 1500)
        assert value.value() == at_1500


def test_a_ttl_that_is_disabled_stores_no_time() -> None:
    memory = Memory()
    states = states_on(memory)
    disabled = ttl(lambda builder: builder.set_update_type(StateTtlConfig.UpdateType.Disabled))
    value = states.get_state(value_descriptor(ttl=disabled))
    states.set_current_key(b"k")
    value.update(1)
    states.commit()
    assert list(memory.entries.values()) == [b"1"]


def test_elements_and_entries_expire_one_by_one() -> None:
    states = states_on(Memory())
    elements = ListStateDescriptor("l", DataTypes.BIGINT())
    entries = MapStateDescriptor("m", DataTypes.STRING(), DataTypes.BIGINT())
    for descriptor in (elements, entries):
        descriptor.enable_time_to_live(ttl())
    in_list, in_map = states.get_list_state(elements), states.get_map_state(entries)
    states.set_current_key(b"k")
    in_list.add(1)
    in_map.put("a", 1)
    states.commit()
    states.begin(2, 600)
    in_list.add(2)
    in_map.put("b", 2)
    states.commit()
    states.begin(3, 1200)
    assert list(in_list.get()) == [2]
    assert dict(in_map.items()) == {"b": 2}
    assert not in_map.contains("a")


def test_a_change_in_place_counts_only_with_update() -> None:  # D12
    memory = Memory()
    states = states_on(memory)
    value = states.get_state(value_descriptor(DataTypes.ARRAY(DataTypes.BIGINT())))
    states.set_current_key(b"k")
    value.update([1])
    value.value().append(2)
    assert value.value() == [1]
    given = [1, 2]
    value.update(given)
    given.append(3)
    assert value.value() == [1, 2]


def test_update_with_none_removes() -> None:  # D13
    memory = Memory()
    states = states_on(memory)
    value = states.get_state(value_descriptor())
    states.set_current_key(b"k")
    value.update(1)
    states.commit()
    value.update(None)
    assert value.value() is None
    states.commit()
    assert not memory.entries


@pytest.mark.parametrize("size", SIZES)
def test_lists_see_what_is_added_meanwhile(size: int) -> None:
    memory = Memory()
    states = states_on(memory, size, page=2)
    found = states.get_list_state(ListStateDescriptor("l", DataTypes.BIGINT()))
    states.set_current_key(b"k")
    found.add_all([1, 2, 3])
    states.commit()
    states.begin(2, 0)
    seen = []
    for element in found.get():
        seen.append(element)
        if element <= 2:
            found.add(element * 10)
    assert seen == [1, 2, 3, 10, 20]
    found.update([7])
    assert list(found) == [7]
    states.commit()
    assert len(memory.entries) == 1


def test_appending_reads_nothing() -> None:
    memory = Memory()
    states = states_on(memory)
    found = states.get_list_state(ListStateDescriptor("l", DataTypes.BIGINT()))
    states.set_current_key(b"k")
    found.add_all(range(5))
    states.commit()
    assert (memory.reads, memory.pages, memory.writes) == ([], 0, [5])


def test_a_map_that_changes_while_it_is_iterated_over() -> None:
    _, found = map_on(Memory())
    found.put_all({"a": 1, "b": 2})
    for change in (lambda: found.put("c", 3), lambda: found.remove("a")):
        entries = found.items()
        next(entries)
        change()
        with pytest.raises(RuntimeError):
            next(entries)


def test_reducing_and_aggregating() -> None:
    class Average:
        def create_accumulator(self) -> list[int]:
            return [0, 0]

        def add(self, value: int, accumulator: list[int]) -> list[int]:
            return [accumulator[0] + value, accumulator[1] + 1]

        def get_result(self, accumulator: list[int]) -> float:
            return accumulator[0] / accumulator[1]

    states = states_on(Memory())
    total = states.get_reducing_state(ReducingStateDescriptor("r", lambda a, b: a + b, DataTypes.BIGINT()))
    pair = DataTypes.ARRAY(DataTypes.BIGINT())
    average = states.get_aggregating_state(AggregatingStateDescriptor("a", Average(), pair))
    states.set_current_key(b"k")
    assert (total.get(), average.get()) == (None, None)
    for value in (1, 2, 6):
        total.add(value)
        average.add(value)
    assert (total.get(), average.get()) == (9, 3)
    total.add(None)
    average.add(None)
    assert (total.get(), average.get()) == (None, None)


def test_a_bundles_keys_are_read_in_one_request() -> None:
    memory = Memory()
    states = states_on(memory)
    value = states.get_state(value_descriptor())
    keys = [str(number).encode() for number in range(100)]
    states.begin(2, 0, keys)
    for key in keys:
        states.set_current_key(key)
        value.update((value.value() or 0) + 1)
    states.commit()
    assert (memory.reads, memory.writes) == ([100], [100])
    states.begin(3, 0, keys)
    states.set_current_key(b"7")
    assert value.value() == 1
    assert memory.reads == [100]


def test_the_current_key_does_not_count_and_eviction_writes_at_once() -> None:
    memory = Memory()
    states = states_on(memory, 1)
    value = states.get_state(value_descriptor())
    for key in (b"a", b"b", b"c"):
        states.set_current_key(key)
        value.update(1)
    assert memory.writes == [1]
    states.set_current_key(b"b")
    assert value.value() == 1
    assert memory.reads == []
    states.commit()
    assert memory.writes[-1] >= 1
    assert len(memory.entries) == 3


def test_reads_of_a_map_are_cached_absent_keys_too() -> None:
    memory = Memory()
    states, found = map_on(memory, 2)
    for key in ("a", "b", "a", "b", "a"):
        assert found.get(key) is None
    assert len(memory.reads) == 2
    assert found.get("c") is None
    assert found.get("b") is None
    assert len(memory.reads) == 4
    states.commit()


def test_writes_of_a_map_go_together() -> None:
    memory = Memory()
    _, found = map_on(memory, 3)
    for number in range(7):
        found.put(str(number), number)
    assert memory.writes == [3, 3]


def test_one_iteration_that_fits_answers_for_all() -> None:
    memory = Memory()
    states, found = map_on(memory)
    found.put_all({"a": 1, "b": 2})
    states.commit()
    _, found = map_on(memory)
    assert not found.is_empty()
    asked = (len(memory.reads), memory.pages)
    assert found.get("absent") is None
    assert dict(found.items()) == {"a": 1, "b": 2}
    assert (len(memory.reads), memory.pages) == asked


def test_iterations_come_in_pages() -> None:
    memory = Memory()
    states, found = map_on(memory, page=2)
    found.put_all({str(number): number for number in range(5)})
    states.commit()
    assert len(list(found.keys())) == 5
    assert memory.pages == 3


def test_a_failed_bundle_leaves_nothing() -> None:
    memory = Memory()
    states = states_on(memory)
    value = states.get_state(value_descriptor())
    states.set_current_key(b"k")
    value.update(1)
    states.discard()
    states.set_current_key(b"k")
    assert value.value() is None
    states.commit()
    assert not memory.entries


def test_states_have_one_type_and_need_a_key() -> None:
    states = states_on(Memory())
    value = states.get_state(value_descriptor())
    with pytest.raises(RuntimeError):
        value.value()
    with pytest.raises(ValueError):
        states.get_state(value_descriptor(DataTypes.STRING()))
    with pytest.raises(ValueError):
        states.get_list_state(ListStateDescriptor("v", DataTypes.BIGINT()))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("page", [1, 2, 1000])
def test_maps_are_dicts(size: int, page: int) -> None:
    for seed in range(40):
        chance = random.Random(seed)
        memory = Memory()
        states, found = map_on(memory, size, page)
        expected: dict[bytes, dict[str, Any]] = {b"k": {}, b"l": {}}
        key = b"k"
        for step in range(60):
            entry, number = chance.choice("abcd"), chance.choice([None, 1, 2])
            model = expected[key]
            action = chance.randrange(11)
            if action <= 2:
                found.put(entry, number)
                model[entry] = number
            elif action == 3:
                found.remove(entry)
                model.pop(entry, None)
            elif action == 4:
                assert found.get(entry) == model.get(entry)
            elif action == 5:
                assert found.contains(entry) == (entry in model)
            elif action == 6:
                assert list(found.items()) == sorted(model.items())
            elif action == 7:
                assert found.is_empty() == (not model)
            elif action == 8:
                entries = found.keys()
                for name in entries:
                    if chance.random() < 0.5:
                        entries.remove()
                        del model[name]
            elif action == 9:
                key = chance.choice([b"k", b"l"])
                states.set_current_key(key)
            elif chance.random() < 0.3:
                found.clear()
                model.clear()
            else:
                states.commit()
                states.begin(step + 2, 0)
        states.commit()
        for key, model in expected.items():
            states, found = map_on(memory, size, page)
            states.set_current_key(key)
            assert list(found.items()) == sorted(model.items()), seed


STORED = [
    (DataTypes.BIGINT(), 1, 1),
    (DataTypes.BIGINT(), signal.SIGTERM, 15),
    (DataTypes.DOUBLE(), 3, 3.0),
    (DataTypes.DOUBLE(), -0.0, 0.0),
    (DataTypes.FLOAT(), 0.1, 0.10000000149011612),
    (DataTypes.DECIMAL(10, 2), decimal.Decimal("1.5"), decimal.Decimal("1.50")),
    (DataTypes.STRING(), "word", "word"),
    (DataTypes.BYTES(), bytearray(b"ab"), b"ab"),
    (DataTypes.BOOLEAN(), True, True),
    (DataTypes.DATE(), datetime.date(2024, 2, 29), datetime.date(2024, 2, 29)),
]


@pytest.mark.parametrize(("data_type", "given", "stored"), STORED, ids=str)
def test_what_was_updated_is_read_as_it_is_stored(data_type: Any, given: Any, stored: Any) -> None:
    memory = Memory()
    states = KeyedStates(memory, codec_of)
    states.begin(1, 0)
    state = states.get_state(ValueStateDescriptor("v", data_type))
    states.set_current_key(b"k")
    state.update(given)
    if isinstance(given, bytearray):
        given[0] = 0
    cached = state.value()
    states.commit()
    again = KeyedStates(memory, codec_of)
    again.begin(2, 0)
    state = again.get_state(ValueStateDescriptor("v", data_type))
    again.set_current_key(b"k")
    for read in (cached, state.value()):
        assert (type(read), repr(read)) == (type(stored), repr(stored))


def test_integers_are_encoded_once_however_often_they_change() -> None:
    memory = Memory()
    states = KeyedStates(memory, codec_of)
    state = states.get_state(ValueStateDescriptor("n", DataTypes.INT()))
    states.begin(1, 0, [b"k"])
    states.set_current_key(b"k")
    for number in range(5):
        state.update(number)
        assert state.value() == number
    with pytest.raises(TypeError):
        state.update(1 << 31)
    with pytest.raises(TypeError):
        state.update(True)
    assert state.value() == 4
    states.commit()
    fresh = KeyedStates(memory, codec_of)
    again = fresh.get_state(ValueStateDescriptor("n", DataTypes.INT()))
    fresh.begin(2, 0, [b"k"])
    fresh.set_current_key(b"k")
    assert again.value() == 4
    again.clear()
    assert again.value() is None
