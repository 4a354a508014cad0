"""`ListView` and `MapView` in accumulators of streams: what they hold lies in state, entry by entry."""

from __future__ import annotations

from ..views import ListView, MapView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .handles import ListState, MapState


class StateListView(ListView):
    """A list of the current key."""

    __slots__ = ("_state",)

    def __init__(self, state: ListState) -> None:
        self._state = state

    @property
    def _list(self) -> list[Any]:  # type: ignore[override]
        return list(self._state.get())

    def get(self) -> Iterable[Any]:
        """The elements, in order. One that is added meanwhile is seen."""
        return self._state.get()

    def add(self, value: Any) -> None:
        """Appends an element."""
        self._state.add(value)

    def add_all(self, values: Iterable[Any]) -> None:
        """Appends elements."""
        self._state.add_all(list(values))

    def clear(self) -> None:
        """Removes all elements."""
        self._state.clear()

    def __iter__(self) -> Iterator[Any]:
        return self._state.get()


class StateMapView(MapView):
    """A map of the current key."""

    __slots__ = ("_state",)

    def __init__(self, state: MapState) -> None:
        self._state = state

    @property
    def _dict(self) -> dict[Any, Any]:  # type: ignore[override]
        return dict(self._state.items())

    def get(self, key: Any) -> Any:
        """The value of a key; None where there is none."""
        return self._state.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Sets the value of a key."""
        self._state.put(key, value)

    def put_all(self, entries: Any) -> None:
        """Sets the values of a dict, of a MapView, or of pairs."""
        self._state.put_all(list(entries.items()) if hasattr(entries, "items") else entries)

    def remove(self, key: Any) -> None:
        """Removes a key, if it is there."""
        self._state.remove(key)

    def contains(self, key: Any) -> bool:
        """Whether the key is there, also with the value None."""
        return self._state.contains(key)

    def items(self) -> Any:
        """Keys and values. Changing the map meanwhile is an error, but for the iterator's own `remove`."""
        return self._state.items()

    def keys(self) -> Any:
        """The keys."""
        return self._state.keys()

    def values(self) -> Any:
        """The values."""
        return self._state.values()

    def is_empty(self) -> bool:
        """Whether there is no entry."""
        return self._state.is_empty()

    def clear(self) -> None:
        """Removes all entries."""
        self._state.clear()

    def __getitem__(self, key: Any) -> Any:
        return self._state[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._state.put(key, value)

    def __contains__(self, key: Any) -> bool:
        return self._state.contains(key)

    def __iter__(self) -> Any:
        return self._state.keys()
