"""Parts of JSON texts, by SQL's paths: `$.name`, `$['name']`, `$[0]`, `$[*]`, `$.*`, one behind the other.

A path that leads nowhere gives null, as SQL's lax mode has it.
"""

from __future__ import annotations

import functools
import json
import re

from .nulls import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STEP = re.compile(r"""\.(?:(\*)|([^\W\d][\w-]*)|"([^"]*)")|\[\s*(?:(\*)|(\d+)|'([^']*)'|"([^"]*)")\s*\]""")
_MODE = re.compile(r"\s*(?:lax\s+)?\$")


@functools.lru_cache(maxsize=256)
def _path(text: str) -> list[str | int | None]:
    """Names, positions, and None for all."""
    start = _MODE.match(text)
    at = start.end() if start else 0
    steps: list[str | int | None] = []
    text = text.rstrip()
    while start and at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            break
        every, name, quoted, every_item, position, single, double = step.groups()
        names = [each for each in (name, quoted, single, double) if each is not None]
        steps.append(None if every or every_item else int(position) if position else names[0])
        at = step.end()
    if not start or at < len(text):
        raise ValueError(f"{text!r} is no path into JSON: $.name, $['name'], $[0] and $[*] are, one behind the other")
    return steps


def _loaded(text: str) -> Any:
    def refused(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, parse_constant=refused)
    except RecursionError:
        raise ValueError("nested too deeply to be read") from None


def _found(text: str, path: str) -> list[Any]:
    """What the path leads to: nothing where the text is no JSON."""
    steps = _path(path)
    try:
        values = [_loaded(text)]
    except ValueError:
        return []
    for step in steps:
        values = [part for value in values for part in _parts(value, step)]
    return values


def _parts(value: Any, step: str | int | None) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if step is None else [value[step]] if step in value else []
    if isinstance(value, list):
        if isinstance(step, str):
            # Lax: a list stands for its items.
            return [part for item in value if isinstance(item, dict) for part in _parts(item, step)]
        return value if step is None else value[step : step + 1]
    return [value] if step == 0 else []


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@strict
def is_json(text: str) -> bool:
    """Whether the text is JSON."""
    try:
        _loaded(text)
    except ValueError:
        return False
    return True


@strict
def json_exists(text: str, path: str) -> bool:
    """Whether the path leads to a value."""
    return bool(_found(text, path))


@strict
def json_value(text: str, path: str) -> str | None:
    """The text, number or truth value that the path leads to, as text; null where there is none, or more than one."""
    found = _found(text, path)
    if len(found) != 1 or found[0] is None or isinstance(found[0], (dict, list)):
        return None
    return found[0] if isinstance(found[0], str) else _written(found[0])


@strict
def json_query(text: str, path: str) -> str | None:
    """The object or array that the path leads to, as JSON; null where there is none, or more than one."""
    found = _found(text, path)
    if len(found) != 1 or not isinstance(found[0], (dict, list)):
        return None
    try:
        return _written(found[0])
    except RecursionError:
        return None


@strict
def json_quote(text: str) -> str:
    """The text as a string of JSON."""
    return json.dumps(text)


@strict
def json_unquote(text: str) -> str:
    """The text that a string of JSON stands for; anything else as it is."""
    try:
        value = _loaded(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
