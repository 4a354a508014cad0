"""Lists and maps as fields of accumulators. Held in memory; runs on a bare Python."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
    from typing import Any


_SHOWN = 10
"""How many entries a `repr` shows."""


class ListView:
    """A list in an accumulator, declared with `DataTypes.LIST_VIEW`. Equal when the elements are."""

    __slots__ = ("_list",)

    def __init__(self, *args: Any) -> None:
        self._list = list(args)

    def get(self) -> Iterable[Any]:
        """The elements, in order."""
        return iter(self._list)

    def add(self, value: Any) -> None:
        """Appends an element."""
        self._list.append(value)

    def add_all(self, values: Iterable[Any]) -> None:
        """Appends elements."""
        self._list.extend(values)

    def clear(self) -> None:
        """Removes all elements."""
        self._list = []

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list)

    def __len__(self) -> int:
        return len(self._list)

    def __eq__(self, other: object) -> bool:
        return self._list == other._list if isinstance(other, ListView) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._list))

    def __reduce__(self) -> tuple[Any, ...]:
        return (ListView, tuple(self._list))

    def __repr__(self) -> str:
        return f"ListView({_first(self._list, map(repr, self._list))})"


class MapView:
    """A map in an accumulator, declared with `DataTypes.MAP_VIEW`. Equal when the entries are."""

    __slots__ = ("_dict",)

    def __init__(self, entries: Any = (), /, **kwargs: Any) -> None:
        self._dict = dict(entries, **kwargs)

    def get(self, key: Any) -> Any:
        """The value of a key; None where there is none."""
        return self._dict.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Sets the value of a key."""
        self._dict[key] = value

    def put_all(self, entries: Any) -> None:
        """Sets the values of a dict, of a MapView, or of pairs."""
        self._dict.update(entries._dict if isinstance(entries, MapView) else entries)

    def remove(self, key: Any) -> None:
        """Removes a key, if it is there."""
        self._dict.pop(key, None)

    def contains(self, key: Any) -> bool:
        """Whether the key is there, also with the value None."""
        return key in self._dict

    def items(self) -> ItemsView[Any, Any]:
        """Keys and values, as they are now: entries may be removed while one iterates."""
        return dict(self._dict).items()

    def keys(self) -> KeysView[Any]:
        """The keys."""
        return dict(self._dict).keys()

    def values(self) -> ValuesView[Any]:
        """The values."""
        return dict(self._dict).values()

    def is_empty(self) -> bool:
        """Whether there is no entry."""
        return not self._dict

    def clear(self) -> None:
        """Removes all entries."""
        self._dict = {}

    def __getitem__(self, key: Any) -> Any:
        return self._dict[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._dict[key] = value

    def __delitem__(self, key: Any) -> None:
        self.remove(key)

    def __contains__(self, key: Any) -> bool:
        return key in self._dict

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._dict))

    def __len__(self) -> int:
        return len(self._dict)

    def __eq__(self, other: object) -> bool:
        return self._dict == other._dict if isinstance(other, MapView) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._dict))

    def __reduce__(self) -> tuple[Any, ...]:
        return (MapView, (self._dict,))

    def __repr__(self) -> str:
        entries = (f"{key!r}: {value!r}" for key, value in self._dict.items())
        return f"MapView({{{_first(self._dict, entries)}}})"


def _first(held: list[Any] | dict[Any, Any], shown: Iterable[str]) -> str:
    """The first few of what is held, and how many more there are."""
    text = ", ".join(item for item, _ in zip(shown, range(_SHOWN)))
    return f"{text}, ... {len(held) - _SHOWN} more" if len(held) > _SHOWN else text
