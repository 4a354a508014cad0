"""Tables: aligned columns, on a terminal as wide as that is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from .._terminal import visible

_WHOLE = frozenset({"EXECUTOR", "ADDRESS", "FUNCTION"})
"""Columns that stay on one line: people copy them."""

_NUMBER = re.compile(r"-?[\d.,]+(e[+-]?\d+)?( (B|[KMG]iB|%))?|[\d]+/[\d]+|-")
_GAP = "  "


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a table.

    A terminal that is too narrow for it gets longer lines of text folded, and, where numbers would have to be cut, a
    block of lines for each row. What is no terminal gets every row on a line of its own.
    """
    cells = [[_shown(cell) for cell in row] for row in rows]
    numeric = [bool(cells) and all(_NUMBER.fullmatch(row[i]) for row in cells) for i in range(len(header))]
    if sys.stdout.isatty():
        _on_terminal(header, cells, numeric)
    else:
        for line in _aligned([list(header), *cells], numeric):
            print(line)


def _shown(cell: Any) -> str:
    return visible(" ".join(str(cell).split())) or "-"


def _aligned(lines: list[list[str]], numeric: list[bool]) -> Iterable[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(numeric))]
    for line in lines:
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numeric, strict=True)
        ]
        yield _GAP.join(padded).rstrip()


def _on_terminal(header: Sequence[str], cells: list[list[str]], numeric: list[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, header_style="bold", pad_edge=False)
    least = _least_widths(header, cells, numeric)
    for name, number, width in zip(header, numeric, least, strict=True):
        made.add_column(name, overflow="fold", min_width=width, justify="right" if number else "left")
    for line in cells:
        made.add_row(*map(Text, line))
    console = Console(highlight=False)
    if not cells or sum(least) + len(_GAP) * (len(least) - 1) <= console.width:
        console.print(made)
        return
    label = max(map(len, header))
    for index, line in enumerate(cells):
        if index:
            console.print()
        for name, cell in zip(header, line, strict=True):
            console.print(Text(name.ljust(label), style="bold"), Text(cell), sep=_GAP, soft_wrap=True)


def _least_widths(header: Sequence[str], cells: list[list[str]], numeric: list[bool]) -> list[int]:
    """What columns take when text is folded at spaces, numbers and what people copy are not."""
    widths = []
    for index, (name, number) in enumerate(zip(header, numeric, strict=True)):
        whole = number or name in _WHOLE
        parts = [part for line in cells for part in ([line[index]] if whole else line[index].split())]
        widths.append(max(map(len, [*parts, *name.split()])))
    return widths
