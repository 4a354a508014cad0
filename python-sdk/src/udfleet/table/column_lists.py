"""Several columns at once in `select` and its like: `with_columns(range_("a", "c"))`, `without_columns("x")`."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InvalidPlanError
from .expression import Column, ColumnList, Expression


def with_all_columns() -> ColumnList:
    """All columns, as `*`."""
    return ColumnList((), without=True)


def with_columns(*columns: Expression | str | int | tuple[str | int, str | int]) -> ColumnList:
    """These columns: names, positions from 1, and ranges of either, `range_("a", "c")`."""
    return ColumnList(map(_part, columns), without=False)


def without_columns(*columns: Expression | str | int | tuple[str | int, str | int]) -> ColumnList:
    """All columns but these: names, positions from 1, and ranges of either."""
    return ColumnList(map(_part, columns), without=True)


def range_(first: str | int, last: str | int) -> tuple[str | int, str | int]:
    """From a column to another, both included: names, or positions from 1."""
    return (first, last)


def _part(given: object) -> tuple[str | int, str | int]:
    if isinstance(given, Column):
        return (given.name, given.name)
    if isinstance(given, (str, int)) and not isinstance(given, bool):
        return (given, given)
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(end, (str, int)) for end in given):
        return given
    raise TypeError(f"columns are named, counted from 1, or a range_() of them, not {given!r}")


def expanded(items: Sequence[Expression], columns: Sequence[str]) -> tuple[Expression, ...]:
    """The items, with the columns that `*` and lists stand for in their place.

    :raises InvalidPlanError: there is no such column.
    """
    found: list[Expression] = []
    for item in items:
        if isinstance(item, ColumnList):
            found += map(Column, _listed(item, columns))
        elif isinstance(item, Column) and item.name == "*":
            found += map(Column, columns)
        else:
            found.append(item)
    return tuple(found)


def _listed(item: ColumnList, columns: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    for first, last in item.parts:
        start, end = _position(first, columns), _position(last, columns)
        if start > end:
            raise InvalidPlanError(f"the column {first!r} does not come before {last!r}", expression=str(item))
        chosen += columns[start : end + 1]
    return [name for name in columns if name not in chosen] if item.without else chosen


def _position(column: str | int, columns: Sequence[str]) -> int:
    if isinstance(column, str) and column in columns:
        return columns.index(column)
    if isinstance(column, int) and 1 <= column <= len(columns):
        return column - 1
    raise InvalidPlanError(f"there is no column {column!r}", hint=f"there are {', '.join(columns)}")
