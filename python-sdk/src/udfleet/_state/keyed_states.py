"""The states of a function's keys: which key is the current one, and which are held in memory."""

from __future__ import annotations

from collections import OrderedDict

from .backend import CacheSizes
from .clock import BundleClock
from .descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from .handles import AggregatingState, ListState, MapState, ReducingState, ValueState
from .lifetime import Lifetime
from .list_cell import ListCell
from .map_cell import MapCell
from .value_cell import ValueCell, state_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..types import DataType
    from .backend import Codec, StateBackend
    from .descriptors import StateDescriptor
    from .layout import StateLayout

    Cell = ValueCell | ListCell | MapCell


class KeyedStates:
    """Write-back caches of all keyed states of one function at one partition.

    The current key's states are not counted. When the key changes they join those that are held, of which the ones used
    longest ago are written, in the middle of a bundle, once there are more than `python.state.cache-size`.
    """

    def __init__(
        self,
        backend: StateBackend,
        codec_of: Callable[[DataType], Codec],
        sizes: CacheSizes | None = None,
        layout: StateLayout | None = None,
    ) -> None:
        self._backend = backend
        self._codec_of = codec_of
        self._sizes = sizes if sizes is not None else CacheSizes()
        self._layout = layout
        self._clock = BundleClock()
        self._makers: dict[str, Callable[[bytes], Cell]] = {}
        self._descriptors: dict[str, StateDescriptor] = {}
        self._key: bytes | None = None
        self._current: dict[str, Any] = {}
        """States of the current key that are in memory."""
        self._held: OrderedDict[bytes, dict[str, Cell]] = OrderedDict()
        self._held_count = 0
        self._read_ahead: dict[bytes, bytes | None] = {}

    def get_state(self, descriptor: ValueStateDescriptor) -> ValueState:
        """The value state of this name."""
        self._register(descriptor, self._value_maker(descriptor))
        return ValueState(self, descriptor.name)

    def get_list_state(self, descriptor: ListStateDescriptor) -> ListState:
        """The list state of this name."""
        codec, lifetime = self._codec_of(descriptor.type_info), Lifetime(descriptor.ttl, self._clock)
        page = self._sizes.map_page

        def make(prefix: bytes) -> ListCell:
            return ListCell(prefix, codec, lifetime, self._backend, self._clock, page)

        self._register(descriptor, make)
        return ListState(self, descriptor.name)

    def get_map_state(self, descriptor: MapStateDescriptor) -> MapState:
        """The map state of this name."""
        codecs = (self._codec_of(descriptor.key_type_info), self._codec_of(descriptor.type_info))
        lifetime = Lifetime(descriptor.ttl, self._clock)
        self._register(descriptor, lambda prefix: MapCell(prefix, codecs, lifetime, self._backend, self._sizes))
        return MapState(self, descriptor.name)

    def get_reducing_state(self, descriptor: ReducingStateDescriptor) -> ReducingState:
        """The reducing state of this name."""
        self._register(descriptor, self._value_maker(descriptor))
        return ReducingState(self, descriptor.name, descriptor.reduce_function)

    def get_aggregating_state(self, descriptor: AggregatingStateDescriptor) -> AggregatingState:
        """The aggregating state of this name."""
        self._register(descriptor, self._value_maker(descriptor))
        return AggregatingState(self, descriptor.name, descriptor.agg_function)

    def _value_maker(self, descriptor: StateDescriptor) -> Callable[[bytes], Cell]:
        codec, lifetime = self._codec_of(descriptor.type_info), Lifetime(descriptor.ttl, self._clock)

        def make(prefix: bytes) -> ValueCell:
            key = ValueCell.key_of(prefix)
            cell = ValueCell(key, codec, lifetime, self._backend)
            if key in self._read_ahead:
                cell.load(self._read_ahead.pop(key))
            return cell

        return make

    def _register(self, descriptor: StateDescriptor, make: Callable[[bytes], Cell]) -> None:
        known = self._descriptors.get(descriptor.name)
        if known is not None and (type(known), known.type_info) != (type(descriptor), descriptor.type_info):
            raise ValueError(f"state {descriptor.name!r} is a {type(known).__name__} of {known.type_info!r} already")
        if self._layout is not None and known is None:
            self._layout.declare(descriptor)
        self._descriptors[descriptor.name] = descriptor
        self._makers.setdefault(descriptor.name, make)

    def begin(self, bundle: int, now: int, keys: Sequence[bytes] = ()) -> None:
        """A bundle begins, at a time in milliseconds. Values of its keys that are not held are read in one request."""
        self._clock.begin(bundle, now)
        wanted = [
            ValueCell.key_of(state_prefix(key, name))
            for key in dict.fromkeys(keys)
            for name, descriptor in self._descriptors.items()
            if not isinstance(descriptor, (ListStateDescriptor, MapStateDescriptor)) and not self._holds(name, key)
        ]
        self._read_ahead = dict(zip(wanted, self._backend.read(wanted))) if wanted else {}

    def _holds(self, name: str, key: bytes) -> bool:
        return name in (self._current if key == self._key else self._held.get(key, ()))

    def set_current_key(self, key: bytes) -> None:
        """The key of the rows that come now."""
        if key == self._key:
            return
        held = self._held
        if self._key is not None and self._current:
            held[self._key] = self._current
            self._held_count += len(self._current)
        found = held.pop(key, None)
        if found is None:
            self._current = {}
        else:
            self._current = found
            self._held_count -= len(found)
        self._key = key
        if self._held_count > self._sizes.states:
            self._evict()

    def _evict(self) -> None:
        """States that were used longest ago are written, one by one, until there are as many as may be held."""
        evicted: list[Cell] = []
        while self._held_count > self._sizes.states:
            oldest, cells = next(iter(self._held.items()))
            evicted.append(cells.pop(next(iter(cells))))
            self._held_count -= 1
            if not cells:
                del self._held[oldest]
        self._write(evicted)

    def cell(self, name: str) -> Any:
        """The current key's state of that name."""
        cell = self._current.get(name)
        if cell is None:
            if self._key is None:
                raise RuntimeError(f"state {name!r}: there is no current key outside of process_element")
            cell = self._makers[name](state_prefix(self._key, name))
            self._current[name] = cell
        return cell

    def commit(self) -> None:
        """The bundle has run: all that has changed is written, in one request. What is held stays."""
        self._read_ahead = {}
        held = [cell for cells in self._held.values() for cell in cells.values()]
        self._write([*held, *self._current.values()])

    def discard(self) -> None:
        """The bundle has failed: nothing of what is held is true."""
        self._read_ahead = {}
        self._held.clear()
        self._held_count = 0
        self._current = {}
        self._key = None

    def _write(self, cells: Sequence[Cell]) -> None:
        cleared: list[bytes] = []
        changes: list[tuple[bytes, bytes | None]] = []
        for cell in cells:
            more_cleared, more_changes = cell.take_changes()
            cleared += more_cleared
            changes += more_changes
        if self._layout is not None:
            changes += self._layout.take_changes()
        if cleared or changes:
            self._backend.write(cleared, changes)
