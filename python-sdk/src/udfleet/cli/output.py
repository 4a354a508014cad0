"""How the command line talks: data on stdout, everything else on stderr."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import sys
from typing import Any

import click

from .._terminal import visible
from ..errors import UdfleetError
from ..types import DataType


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
    print(visible(text), file=sys.stderr, flush=True)


def count(number: int, what: str) -> str:
    """1 function, 2 functions."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


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
