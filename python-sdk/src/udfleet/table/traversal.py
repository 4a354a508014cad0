"""Walks through expressions: what is called in them, and what no plan may have."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidPlanError
from .expression import Call, Expression, Named, Operation

MAX_NODES = 10_000
"""The most parts of one expression in a plan, each counted as often as it is evaluated."""

_MAX_TEXT = 500


def parts(expression: Expression) -> tuple[Expression, ...]:
    """The expressions that one is made of."""
    if isinstance(expression, Named):
        return (expression.expression,)
    if isinstance(expression, Call):
        return expression.arguments if expression.condition is None else (*expression.arguments, expression.condition)
    return expression.operands if isinstance(expression, Operation) else ()


def find(expression: Expression, wanted: Callable[[Call], bool]) -> Call | None:
    """A call of that kind within an expression, or the expression itself."""
    # No recursion: how deep it goes is checked later. Shared parts are visited once, for they can nest.
    waiting, seen = [expression], {id(expression)}
    while waiting:
        part = waiting.pop()
        if isinstance(part, Call) and wanted(part):
            return part
        for inner in parts(part):
            if id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)
    return None


def check(expression: Expression) -> None:
    """Refuses what is too large.

    :raises InvalidPlanError: it is.
    """
    sizes: dict[int, int] = {}
    waiting = [expression]
    while waiting:
        part = waiting[-1]
        missing = [inner for inner in parts(part) if id(inner) not in sizes]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        if id(part) in sizes:
            continue
        sizes[id(part)] = size = 1 + sum(sizes[id(inner)] for inner in parts(part))
        if size > MAX_NODES:
            raise InvalidPlanError(
                f"an expression has more than {MAX_NODES} parts, where arguments that are evaluated several times"
                " count each time",
                hint="make parts of it columns first, with add_columns()",
                expression=expression.text[:_MAX_TEXT],
            )
