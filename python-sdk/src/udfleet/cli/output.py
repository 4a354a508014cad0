"""How the command line talks: data on stdout, everything else on stderr."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from ..errors import UdfleetError
from ..types import DataType

_WHOLE = frozenset({"EXECUTOR", "ADDRESS", "FUNCTION"})
"""Columns that stay on one line as long as they fit."""


def plain(value: Any) -> Any:
    """A view as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, UdfleetError):
        return {"code": value.code, "message": value.message, "hint": value.hint, "retryable": value.retryable}
    if isinstance(value, DataType):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(plain(value), indent=2, default=str))


def say(text: str) -> None:
    """Talk, for people."""
    print(text, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(header), *cells]:
            print("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table

    made = Table(box=None, header_style="bold", pad_edge=False)
    for name in header:
        # A narrow terminal gets more lines, never less of what people copy.
        made.add_column(name, overflow="fold", no_wrap=name in _WHOLE)
    for line in cells:
        made.add_row(*(cell.replace("[", "\\[") for cell in line))
    Console().print(made)


def size(value: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def fail(error: UdfleetError) -> None:
    """An error as people read it."""
    say(f"error: {error.code}: {error}")


def misused(error: click.UsageError) -> None:
    """A mistake in the command itself, in the form of all others."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return
    say(f"error: USAGE: {error.format_message()}")
    if error.ctx is not None:
        say(f"hint: see `{error.ctx.command_path} --help`")
