"""What functions hold: states of whatever key is the current one. PyFlink's methods."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from .keyed_states import KeyedStates
    from .map_cell import MapIterator


class KeyedState:
    """A state of the current key."""

    __slots__ = ("_name", "_states")

    def __init__(self, states: KeyedStates, name: str) -> None:
        self._states = states
        self._name = name

    def clear(self) -> None:
        """Removes what the current key has."""
        self._states.cell(self._name).clear()


class ValueState(KeyedState):
    """One value."""

    __slots__ = ()

    def value(self) -> Any:
        """The value, or None. What is changed in place is kept only once it is passed to `update`."""
        # A cell in memory is found without a call: this is done for each row.
        cell = self._states._current.get(self._name)
        return (self._states.cell(self._name) if cell is None else cell).value()

    def update(self, value: Any) -> None:
        """Sets the value; None removes it."""
        cell = self._states._current.get(self._name)
        (self._states.cell(self._name) if cell is None else cell).update(value)


class ListState(KeyedState):
    """A list."""

    __slots__ = ()

    def get(self) -> Iterator[Any]:
        """The elements, in order. One that is added meanwhile is seen."""
        found: Iterator[Any] = self._states.cell(self._name).get()
        return found

    def __iter__(self) -> Iterator[Any]:
        return self.get()

    def add(self, value: Any) -> None:
        """Appends an element."""
        self._states.cell(self._name).add(value)

    def add_all(self, values: Iterable[Any]) -> None:
        """Appends elements."""
        self._states.cell(self._name).add_all(values)

    def update(self, values: Iterable[Any]) -> None:
        """Replaces the elements."""
        self._states.cell(self._name).update(values)


class MapState(KeyedState):
    """A map."""

    __slots__ = ()

    def get(self, key: Any) -> Any:
        """The value, or None."""
        return self._states.cell(self._name).get(key)

    def put(self, key: Any, value: Any) -> None:
        """Sets an entry."""
        self._states.cell(self._name).put(key, value)

    def put_all(self, entries: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        """Sets entries: those of a dict, or pairs."""
        self._states.cell(self._name).put_all(entries)

    def remove(self, key: Any) -> None:
        """Removes an entry, if there is one."""
        self._states.cell(self._name).remove(key)

    def contains(self, key: Any) -> bool:
        """Whether there is an entry, also one whose value is None."""
        found: bool = self._states.cell(self._name).contains(key)
        return found

    def items(self) -> MapIterator:
        """Keys and values. Changing the map meanwhile is an error, but for the iterator's own `remove`."""
        found: MapIterator = self._states.cell(self._name).items()
        return found

    def keys(self) -> MapIterator:
        """The keys."""
        found: MapIterator = self._states.cell(self._name).keys()
        return found

    def values(self) -> MapIterator:
        """The values."""
        found: MapIterator = self._states.cell(self._name).values()
        return found

    def is_empty(self) -> bool:
        """Whether there is no entry."""
        found: bool = self._states.cell(self._name).is_empty()
        return found

    def __getitem__(self, key: Any) -> Any:
        if not self.contains(key):
            raise KeyError(key)
        return self.get(key)

    __setitem__ = put
    __delitem__ = remove
    __contains__ = contains

    def __iter__(self) -> MapIterator:
        return self.keys()


class ReducingState(KeyedState):
    """One value, made of all that were added."""

    __slots__ = ("_reduce",)

    def __init__(self, states: KeyedStates, name: str, reduce: Callable[[Any, Any], Any]) -> None:
        super().__init__(states, name)
        self._reduce = reduce

    def get(self) -> Any:
        """The value, or None where none was added."""
        return self._states.cell(self._name).value()

    def add(self, value: Any) -> None:
        """Adds a value; None removes all."""
        cell = self._states.cell(self._name)
        before = None if value is None else cell.value()
        cell.update(value if before is None else self._reduce(before, value))


class AggregatingState(KeyedState):
    """An accumulator, and what it results in."""

    __slots__ = ("_function",)

    def __init__(self, states: KeyedStates, name: str, function: Any) -> None:
        super().__init__(states, name)
        self._function = function

    def get(self) -> Any:
        """The result, or None where nothing was added."""
        accumulator = self._states.cell(self._name).value()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        """Adds a value; None removes all."""
        cell = self._states.cell(self._name)
        if value is None:
            cell.clear()
            return
        accumulator = cell.value()
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        cell.update(self._function.add(value, accumulator))
