"""Regular expressions, in Python's syntax with Java's replacements, and SQL's SIMILAR TO."""

from __future__ import annotations

import functools
import re

from .nulls import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Match, Pattern


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


def _grouped(pattern: str, group: int) -> Pattern[str]:
    compiled = _compiled(pattern)
    if not 0 <= group <= compiled.groups:
        raise ValueError(f"{pattern!r} has {compiled.groups} groups, not {group}")
    return compiled


@strict
def regexp(text: str, pattern: str) -> bool:
    """Whether a part of the text matches."""
    return _compiled(pattern).search(text) is not None


@strict
def regexp_count(text: str, pattern: str) -> int:
    """How often the pattern matches, one match behind the other."""
    return sum(1 for _ in _compiled(pattern).finditer(text))


@strict
def regexp_extract(text: str, pattern: str, group: int = 0) -> str | None:
    """A group of the first match, 0 for all of it; null where there is none."""
    found = _grouped(pattern, group).search(text)
    return None if found is None else found[group]


@strict
def regexp_extract_all(text: str, pattern: str, group: int = 1) -> list[str | None]:
    """A group of each match, 0 for all of it."""
    return [found[group] for found in _grouped(pattern, group).finditer(text)]


@strict
def regexp_instr(text: str, pattern: str) -> int:
    """Where the first match begins, from 1; 0 where there is none."""
    found = _compiled(pattern).search(text)
    return 0 if found is None else found.start() + 1


@strict
def regexp_substr(text: str, pattern: str) -> str | None:
    """The first match; null where there is none."""
    found = _compiled(pattern).search(text)
    return None if found is None else found[0]


@strict
def regexp_replace(text: str, pattern: str, replacement: str) -> str:
    """With each match replaced; `$1` and `${name}` are groups of it, a backslash makes what follows plain.

    Of the digits behind `$` as many are meant as make the number of a group.
    """
    compiled = _compiled(pattern)
    parts = _replacement(replacement, compiled.groups)

    def made(found: Match[str]) -> str:
        return "".join(part if isinstance(part, str) else found[part[0]] or "" for part in parts)

    try:
        return compiled.sub(made, text)
    except IndexError:
        raise ValueError(f"{pattern!r} has no such group as {replacement!r} names") from None


_PART = re.compile(r"\\(.)|\$(?:([0-9]+)|\{([^\W\d]\w*)\})|([^\\$]+)", re.DOTALL)


@functools.lru_cache(maxsize=256)
def _replacement(text: str, groups: int) -> list[str | tuple[str | int]]:
    """Plain texts, and groups in tuples; the pattern has so many groups."""
    parts: list[str | tuple[str | int]] = []
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is no replacement: a group, or a backslash before it, is missing at {at}")
        escaped, number, name, plain = match.groups()
        at = match.end()
        if number:
            size = next((n for n in range(len(number), 1, -1) if int(number[:n]) <= groups), 1)
            parts.append((int(number[:size]),))
            at = match.start() + 1 + size
        else:
            parts.append((name,) if name else escaped or plain)
    return parts


@strict
def similar(text: str, pattern: str) -> bool:
    """SIMILAR TO: whether all of the text matches a pattern of SQL's, with `%` for any text and `_` for a character."""
    return _of_similar(pattern).fullmatch(text) is not None


@functools.lru_cache(maxsize=256)
def _of_similar(pattern: str) -> Pattern[str]:
    made, inside = "", False
    for character in pattern:
        if inside:
            inside = character != "]"
            made += "\\" + character if character in "\\[" else character
        elif character == "[":
            inside = True
            made += character
        elif character in "%_":
            made += ".*" if character == "%" else "."
        else:
            made += character if character in "|*+?{}()" else re.escape(character)
    try:
        return re.compile(made, re.DOTALL)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no pattern of SIMILAR TO: {error}") from None
