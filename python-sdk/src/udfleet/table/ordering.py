"""Order of rows, as Flink has it: ascending, nulls come first; descending, last. NaN is greater than every number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InvalidPlanError
from .expression import Column, Expression, Ordering, lit
from .parser import parse_expression
from .tokens import split, tokenize


@dataclass(frozen=True)
class SortKey:
    """A column that rows are ordered by.

    :ivar column: its name in the table that is sorted.
    :ivar text: the expression, for people.
    """

    column: str
    descending: bool
    text: str


def orderings(given: Iterable[Any]) -> list[Ordering]:
    """Keys as users give them: `order_by("a, b DESC")`, `order_by(col("a").desc)`."""
    found: list[Ordering] = []
    for item in given:
        if isinstance(item, str):
            found += _parsed(item)
        elif isinstance(item, (list, tuple)):
            found += orderings(item)
        elif isinstance(item, Ordering):
            found.append(item)
        else:
            found.append(Ordering(item if isinstance(item, Expression) else lit(item), descending=False))
    if not found:
        raise InvalidPlanError("order_by() needs a key", hint='write order_by("a, b DESC")')
    return found


def _parsed(text: str) -> list[Ordering]:
    found = []
    for part in split(text, tokenize(text), ","):
        # PyFlink writes "a.desc" too.
        word = part[-1].text.upper() if part and part[-1].kind == "name" else ""
        directed = word in ("ASC", "DESC") and len(part) > 1
        body = part[: -2 if directed and part[-2].text == "." else -1] if directed else part
        expression = parse_expression(text[body[0].start : body[-1].end] if body else "")
        found.append(Ordering(expression, descending=directed and word == "DESC"))
    return found


def key_names(keys: Sequence[Ordering], columns: Sequence[str]) -> list[str]:
    """The columns that keys are in: their own, or new ones behind all others."""
    names = []
    for index, key in enumerate(keys):
        own = isinstance(key.expression, Column) and key.expression.name in columns
        name = key.expression.name if own and isinstance(key.expression, Column) else f"__key{index}"
        names.append(name)
    return names


def sorted_table(table: pa.Table, keys: Sequence[SortKey], most: int | None = None) -> pa.Table:
    """The rows in order, or so many of the first; those with equal keys stay as they are."""
    columns: list[pa.ChunkedArray] = []
    order: list[tuple[str, str]] = []
    for key in keys:
        values = table.column(key.column)
        parts = [pc.is_valid(values), values]
        if pa.types.is_floating(values.type):
            parts.insert(1, pc.is_nan(values))
        for part in parts:
            order.append((str(len(columns)), "descending" if key.descending else "ascending"))
            columns.append(part)
    try:
        by = pa.table(columns, names=[name for name, _ in order])
        return table.take(pc.sort_indices(by, sort_keys=order)[:most])
    except pa.ArrowNotImplementedError as error:
        text = ", ".join(key.text for key in keys)
        raise InvalidPlanError(f"rows can't be ordered by {text}: {error}") from None
