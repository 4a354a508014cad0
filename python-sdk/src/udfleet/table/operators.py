"""The steps that a table was made by, as the user wrote them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Union

from ..declaration import AliasedFunction, UserDefinedFunctionWrapper, declared
from ..functions import UserDefinedFunction
from .expression import Call, Column, Expression, Literal, Named, lit
from .parser import parse_item, parse_items


@dataclass(frozen=True)
class Select:
    """Only these columns go on; with an aggregate among them, one row of the whole table."""

    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Where:
    """Only rows for which this is true go on."""

    predicate: Expression


@dataclass(frozen=True)
class Lateral:
    """Each row with each of a table function's rows for it."""

    call: Call
    names: tuple[str, ...]
    outer: bool = False
    replaces: bool = False


@dataclass(frozen=True)
class Group:
    """One row per group."""

    keys: tuple[Expression, ...]
    items: tuple[Expression, ...]


@dataclass(frozen=True)
class GroupWhole:
    """Keys, and the columns of one aggregate (or table aggregate) function."""

    keys: tuple[Expression, ...]
    call: Expression
    names: tuple[str, ...]
    table: bool


@dataclass(frozen=True)
class MapRow:
    """A scalar function's result in place of each row."""

    call: Expression
    names: tuple[str, ...]


@dataclass(frozen=True)
class Alias:
    """The first columns, renamed in order."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Extend:
    """Further columns; one of a name that is there already takes its place where that is allowed."""

    items: tuple[Expression, ...]
    replace: bool


@dataclass(frozen=True)
class Rename:
    """Columns under other names."""

    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Drop:
    """Without these columns."""

    names: tuple[str, ...]


Operator = Union[Select, Where, Lateral, Group, GroupWhole, MapRow, Alias, Extend, Rename, Drop]


def items(given: Iterable[Any]) -> tuple[Expression, ...]:
    """Expressions as users give them: text with one or several, objects, other values as literals."""
    found: list[Expression] = []
    for item in given:
        if isinstance(item, str):
            found += parse_items(item)
        elif isinstance(item, (list, tuple)):
            found += items(item)
        else:
            found.append(item if isinstance(item, Expression) else lit(item))
    return tuple(found)


def one(given: Any) -> Expression:
    """A single expression, with its alias."""
    if isinstance(given, str):
        return parse_item(given)
    return given if isinstance(given, Expression) else lit(given)


def is_true(value: Expression) -> bool:
    """Whether it is the literal TRUE."""
    return isinstance(value, Literal) and value.value is True


def function(given: Any, what: str) -> tuple[Expression, tuple[str, ...]]:
    """A function that works on rows: a declared one, its name, or a call of it; and names for its columns."""
    if isinstance(given, UserDefinedFunction):
        given = declared(given)
    if isinstance(given, UserDefinedFunctionWrapper):
        return Call(given, takes_row=True), ()
    if isinstance(given, AliasedFunction):
        return Call(given.function, takes_row=True), given.names
    value = one(given)
    value, names = (value.expression, value.names) if isinstance(value, Named) else (value, ())
    if isinstance(value, Column):
        value = Call(value.name, takes_row=True)
    if not isinstance(value, Call):
        raise TypeError(f"{what}() takes a function or a call of one, not {given!r}")
    return value, names


def takes_frame(call: Expression) -> bool:
    """Whether it is a declared pandas function over the whole row."""
    declared = isinstance(call, Call) and isinstance(call.function, UserDefinedFunctionWrapper)
    return declared and call.takes_row and call.function.func_type == "pandas"  # type: ignore[attr-defined]


def lateral(given: Any, outer: bool, replaces: bool = False) -> Lateral:
    """A join with a table function."""
    what = "flat_map" if replaces else "left_outer_join_lateral" if outer else "join_lateral"
    if isinstance(given, UserDefinedFunctionWrapper) and not replaces:
        given = Call(given)
    call, names = function(given, what)
    if isinstance(given, str) and isinstance(call, Call) and call.takes_row and not replaces:
        call = Call(call.function)
    assert isinstance(call, Call)
    return Lateral(call, names, outer, replaces)
