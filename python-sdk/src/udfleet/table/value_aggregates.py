"""Aggregates of SQL that keep values, as Python functions: registered when they are first used, for the types they get.

They have no `merge`: the rows of a group come to one interpreter, in their order.
"""

from __future__ import annotations

import bisect
import itertools
import math

from ..declaration import UserDefinedFunctionWrapper, udaf
from ..errors import InvalidPlanError
from ..functions import AggregateFunction
from ..types import DataType, DataTypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .expression import Expression


class FirstValue(AggregateFunction):
    """The first value that is not null."""

    def create_accumulator(self) -> list[Any]:
        """Empty."""
        return [None]

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Keeps it where none came before."""
        if accumulator[0] is None:
            accumulator[0] = value

    def get_value(self, accumulator: list[Any]) -> Any:
        """The value."""
        return accumulator[0]


class LastValue(FirstValue):
    """The last value that is not null."""

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Keeps it."""
        if value is not None:
            accumulator[0] = value


class ListAgg(AggregateFunction):
    """Texts that are not null, with a separator between them."""

    def create_accumulator(self) -> list[Any]:
        """Pieces of the text."""
        return []

    def accumulate(self, accumulator: list[Any], value: Any, separator: Any = ",") -> None:
        """Appends it."""
        if value is not None:
            if accumulator:
                accumulator.append("" if separator is None else separator)
            accumulator.append(value)

    def get_value(self, accumulator: list[Any]) -> str | None:
        """The text; null where there were no values."""
        return "".join(accumulator) if accumulator else None


class ArrayAgg(AggregateFunction):
    """All values, nulls too."""

    def create_accumulator(self) -> list[Any]:
        """The values so far."""
        return []

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Appends it."""
        accumulator.append(value)

    def get_value(self, accumulator: list[Any]) -> list[Any] | None:
        """The values; null where there were none."""
        return accumulator or None


class Collect(AggregateFunction):
    """How often each value came that is not null."""

    def create_accumulator(self) -> dict[Any, int]:
        """Counts by value."""
        return {}

    def accumulate(self, accumulator: dict[Any, int], value: Any) -> None:
        """Counts it."""
        if value is not None:
            accumulator[value] = accumulator.get(value, 0) + 1

    def get_value(self, accumulator: dict[Any, int]) -> dict[Any, int]:
        """The counts."""
        return accumulator


class Percentile(AggregateFunction):
    """Exact percentiles, between two values by how near they are."""

    def create_accumulator(self) -> list[Any]:
        """Values with how often they count, and the percentage."""
        return [[], None]

    def accumulate(self, accumulator: list[Any], value: Any, percentage: Any, frequency: Any = 1) -> None:
        """Appends it."""
        accumulator[1] = percentage
        if value is not None and frequency is not None and frequency > 0:
            accumulator[0].append((value, frequency))

    def get_value(self, accumulator: list[Any]) -> Any:
        """One percentile, or a list of them."""
        counted, percentage = sorted(accumulator[0]), accumulator[1]
        if not counted or percentage is None or percentage == []:
            return None
        ends = list(itertools.accumulate(count for _, count in counted))
        if isinstance(percentage, list):
            return [_percentile(counted, ends, each) for each in percentage]
        return _percentile(counted, ends, percentage)


def _percentile(counted: list[tuple[float, int]], ends: list[int], percentage: float) -> float:
    if not 0 <= percentage <= 1:
        raise ValueError(f"a percentage lies between 0 and 1, not at {percentage}")
    position = (ends[-1] - 1) * percentage
    lower = math.floor(position)
    low, high = (counted[bisect.bisect_right(ends, at)][0] for at in (lower, math.ceil(position)))
    return low if low == high else low + (high - low) * (position - lower)


_SAME: dict[str, type[FirstValue]] = {"first_value": FirstValue, "last_value": LastValue}
_UNHASHABLE = frozenset({"ARRAY", "MAP", "MULTISET", "ROW"})
_REAL = DataTypes.DOUBLE()
NAMES = frozenset({*_SAME, "listagg", "list_agg", "string_agg", "array_agg", "collect", "percentile"})
"""The names, in lower case."""

_declared: dict[tuple[str, DataType | None, int], UserDefinedFunctionWrapper[..., Any]] = {}


def prepared(name: str, arguments: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """The arguments of a call by that name in the types that the function takes."""
    if name != "percentile" or not arguments:
        return arguments
    return (arguments[0].cast(_REAL), *arguments[1:])


def declared(name: str, count: int, type_of: Callable[[int], DataType]) -> UserDefinedFunctionWrapper[..., Any]:
    """The function of a name for so many arguments; `type_of` finds the type of the one at a position where it matters.

    :raises InvalidPlanError: it does not take so many, or no values of that type.
    """
    if name == "percentile":
        return _percentiles(count, type_of)
    lists = name in ("listagg", "list_agg", "string_agg")
    if not 1 <= count <= 1 + lists:
        takes = "a text, and a separator" if lists else "one argument"
        raise InvalidPlanError(f"{name.upper()} takes {takes}, not {count} arguments")
    given = None if lists else type_of(0).nullable()
    key = (name, given, count)
    if key not in _declared:
        _declared[key] = _declare(name, given, count)
    return _declared[key]


def _percentiles(count: int, type_of: Callable[[int], DataType]) -> UserDefinedFunctionWrapper[..., Any]:
    if not 2 <= count <= 3:
        raise InvalidPlanError(f"PERCENTILE takes a number, a percentage, and a frequency, not {count} arguments")
    several = type_of(1).root == "ARRAY"
    key = ("percentiles" if several else "percentile", None, count)
    if key not in _declared:
        kind = DataTypes.ARRAY(_REAL) if several else _REAL
        _declared[key] = udaf(Percentile(), [_REAL, kind, DataTypes.BIGINT()][:count], kind, name="percentile")
    return _declared[key]


def _declare(name: str, given: DataType | None, count: int) -> UserDefinedFunctionWrapper[..., Any]:
    if given is None:
        text = DataTypes.STRING()
        return udaf(ListAgg(), [text] * count, text, name="listagg")
    if name in _SAME:
        return udaf(_SAME[name](), [given], given, name=name)
    if name == "array_agg":
        return udaf(ArrayAgg(), [given], DataTypes.ARRAY(given), name=name)
    if given.root in _UNHASHABLE:
        raise InvalidPlanError(f"COLLECT takes no {given}", hint="ARRAY_AGG takes values of any type")
    return udaf(Collect(), [given], DataTypes.MULTISET(given.not_null()), name=name)
