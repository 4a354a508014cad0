"""What callers pass to a fleet's methods, checked before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .._convert.misfit import shown
from ..environment import Environment
from ..errors import InvalidDefinitionError, InvalidInputError

_MAX_TAIL = (1 << 32) - 1


def text(value: Any, what: str) -> str:
    """A text that can be sent.

    :raises InvalidInputError: it is none.
    """
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} must be a text, not {shown(value)}", hint="`udfleet functions` lists names")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"{what} {value!r} holds a lone surrogate", hint="give valid text") from None
    return value


MAX_TOKEN = 4096
"""Characters of a token: longer ones fit into no header."""


def token(value: Any) -> str | None:
    """A token as a header holds it; an empty one is none."""
    if value is None or (isinstance(value, str) and not value):
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        # Not shown: it may be a secret with a stray line break.
        raise InvalidInputError(
            "the token must be a text of printable ASCII characters", hint="strip the line break of a token file"
        )
    if len(value) > MAX_TOKEN:
        raise InvalidInputError(
            f"the token has {len(value)} characters, more than {MAX_TOKEN}", hint="give a fleet's token"
        )
    return value


def path(value: Any, what: str) -> str | None:
    """The path of a file; None and an empty text are none."""
    if value is None:
        return None
    try:
        return os.fsdecode(value) or None
    except TypeError:
        raise InvalidInputError(f"{what} must be the path of a file, not {shown(value)}") from None


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A mapping with texts as keys; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{what} must be a dict, not {shown(value)}")
    return {text(key, f"a key of {what}"): item for key, item in value.items()}


def names(value: Any, what: str) -> list[str]:
    """A list of texts."""
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        raise InvalidInputError(f"{what} must be a list of names, not {shown(value)}", hint=f'{what}=["API_KEY"]')
    return [text(item, f"an item of {what}") for item in value]


def partitions(value: Any) -> int | None:
    """How many partitions a function with keyed state has."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 256):
        return value
    raise InvalidDefinitionError(f"partitions must be a whole number from 1 to 256, not {shown(value)}")


def new_name(value: Any) -> str:
    """The name that a function is registered under."""
    if isinstance(value, str):
        return text(value, "the name of a function")
    raise InvalidDefinitionError(
        f"the name of a function must be a text, not {shown(value)}", hint='register_function("name", f)'
    )


def environment(value: Any, name: str) -> Environment | None:
    """None, or an Environment."""
    if value is None or isinstance(value, Environment):
        return value
    raise InvalidDefinitionError(
        f"environment must be an Environment, not {shown(value)}",
        function=name,
        hint="environment=Environment(requirements=[...])",
    )


def seconds(value: Any, name: str) -> float | None:
    """None, or a number of seconds."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (number and 0 < value < 1e9):
        return None if value is None else float(value)
    raise InvalidInputError(
        f"timeout must be a number of seconds, more than 0, not {shown(value)}", function=name, hint="timeout=600"
    )


def tail(value: Any) -> int:
    """A number of lines; 0: all."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TAIL:
        return value
    raise InvalidInputError(f"tail must be a number of lines, 0 for all, not {shown(value)}")


def has_methods(value: Any, methods: tuple[str, ...], what: str, hint: str) -> None:
    """None, or an object with these methods; no methods: something to call."""
    wanted = [callable(getattr(value, name, None)) for name in methods] or [callable(value)]
    if value is not None and not all(wanted):
        raise InvalidInputError(f"{what} can't be {shown(value)}", hint=hint)
