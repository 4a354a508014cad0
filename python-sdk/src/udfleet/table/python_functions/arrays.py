"""Arrays and maps. Elements are equal by Python's rules, and nulls are equal to one another."""

from __future__ import annotations

from ...row import Row
from .nulls import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@strict
def cardinality(values: list[Any] | dict[Any, Any]) -> int:
    """How many elements."""
    return len(values)


@strict
def element(values: list[Any]) -> Any:
    """The only element; null of an empty array."""
    if len(values) > 1:
        raise ValueError(f"ELEMENT takes an array of one element, this has {len(values)}")
    return values[0] if values else None


def at(values: Any, key: Any) -> Any:
    """The element at a position of an array, from 1, or of a key of a map; null where there is none."""
    if values is None or key is None:
        return None
    if isinstance(values, dict):
        return values.get(key)
    return values[key - 1] if 1 <= key <= len(values) else None


def array_contains(values: list[Any] | None, value: Any) -> bool | None:
    """Whether an element is that, or null."""
    return None if values is None else value in values


def array_position(values: list[Any] | None, value: Any) -> int | None:
    """Where the element first is, from 1; 0 where it is not."""
    if values is None or value is None:
        return None
    return values.index(value) + 1 if value in values else 0


def array_append(values: list[Any] | None, value: Any) -> list[Any] | None:
    """With a further element at the end."""
    return None if values is None else [*values, value]


def array_prepend(values: list[Any] | None, value: Any) -> list[Any] | None:
    """With a further element at the start."""
    return None if values is None else [value, *values]


def array_remove(values: list[Any] | None, value: Any) -> list[Any] | None:
    """Without the elements that are that, or null."""
    return None if values is None else [each for each in values if each != value]


@strict
def array_distinct(values: list[Any]) -> list[Any]:
    """Each different element once, in order."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


@strict
def array_reverse(values: list[Any]) -> list[Any]:
    """The elements backwards."""
    return values[::-1]


@strict
def array_concat(*arrays: list[Any]) -> list[Any]:
    """The elements of all arrays, behind one another."""
    return [value for values in arrays for value in values]


@strict
def array_union(values: list[Any], others: list[Any]) -> list[Any]:
    """Each different element of both arrays once."""
    return list(array_distinct([*values, *others]))


@strict
def array_intersect(values: list[Any], others: list[Any]) -> list[Any]:
    """Each different element that both arrays have, once."""
    return [value for value in array_distinct(values) if value in others]


@strict
def array_except(values: list[Any], others: list[Any]) -> list[Any]:
    """Each different element that the other array does not have, once."""
    return [value for value in array_distinct(values) if value not in others]


@strict
def array_slice(values: list[Any], start: int, end: int | None = None) -> list[Any]:
    """The elements from a position to another, both included: from 1, negative ones from the end."""
    first = start - 1 if start > 0 else max(0, len(values) + start) if start else 0
    last = len(values) if end is None else end if end >= 0 else len(values) + end + 1
    return values[first : max(last, 0)]


def _order(value: Any) -> tuple[bool, Any]:
    """What elements are ordered by: NaN, which alone differs from itself, is greater than all numbers."""
    return (value != value, value)


@strict
def array_max(values: list[Any]) -> Any:
    """The greatest element that is not null."""
    return max((value for value in values if value is not None), key=_order, default=None)


@strict
def array_min(values: list[Any]) -> Any:
    """The least element that is not null."""
    return min((value for value in values if value is not None), key=_order, default=None)


@strict
def array_sort(values: list[Any], ascending: bool = True, nulls_first: bool | None = None) -> list[Any]:
    """The elements in order; nulls come first where it is ascending, unless said otherwise."""
    nulls = [value for value in values if value is None]
    rest = sorted((value for value in values if value is not None), key=_order, reverse=not ascending)
    first = ascending if nulls_first is None else nulls_first
    return [*nulls, *rest] if first else [*rest, *nulls]


def array_join(values: list[Any] | None, separator: str | None, null_text: str | None = None) -> str | None:
    """The texts with a separator between them; nulls are left out, or have a text of their own."""
    if values is None or separator is None:
        return None
    texts = [null_text if value is None else value for value in values]
    return separator.join(text for text in texts if text is not None)


@strict
def map_keys(values: dict[Any, Any]) -> list[Any]:
    """The keys."""
    return list(values)


@strict
def map_values(values: dict[Any, Any]) -> list[Any]:
    """The values, in the order of the keys."""
    return list(values.values())


@strict
def map_union(*maps: dict[Any, Any]) -> dict[Any, Any]:
    """The entries of all maps; of a key that several have, the last one's."""
    return {key: value for each in maps for key, value in each.items()}


@strict
def map_from_arrays(keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    """A map of keys and their values."""
    if len(keys) != len(values):
        raise ValueError(f"{len(keys)} keys for {len(values)} values")
    return dict(zip(keys, values))


@strict
def map_entries(values: dict[Any, Any]) -> list[Any]:
    """Rows of key and value."""
    return [Row(key=key, value=value) for key, value in values.items()]


def array(*values: Any) -> list[Any]:
    """An array of these."""
    return list(values)


def row(*values: Any) -> Row:
    """A row of these."""
    return Row(*values)


def map_(*keys_and_values: Any) -> dict[Any, Any]:
    """A map of keys and values in turn."""
    return dict(zip(keys_and_values[::2], keys_and_values[1::2]))
