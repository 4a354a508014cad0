"""Texts by formats of Java's `Formatter`, in English."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PART = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")
_MAX_WIDTH = 1_000_000


def printf(form: str | None, *values: Any) -> str | None:
    """The values by the format; null where it is none, or a value is not of its kind."""
    if form is None:
        return None
    made: list[str] = []
    at = following = 0
    try:
        while True:
            percent = form.find("%", at)
            if percent < 0:
                return "".join(made) + form[at:]
            part = _PART.match(form, percent)
            if part is None:
                return None
            made.append(form[at:percent])
            position, flags, width, precision, kind = part.groups()
            at = part.end()
            if int(width or 0) > _MAX_WIDTH or int(precision or 0) > _MAX_WIDTH:
                return None
            if kind in "%n":
                made.append({"%": "%", "n": "\n"}[kind])
                continue
            if not position:
                following += 1
            index = int(position or following) - 1
            if index < 0:
                return None
            value = values[index]
            text = _formatted(value, kind, flags, None if precision is None else int(precision), int(width or 0))
            made.append(text.ljust(int(width or 0)) if "-" in flags else text.rjust(int(width or 0)))
    except (IndexError, ValueError, TypeError, OverflowError, ArithmeticError):
        return None


def _formatted(value: Any, kind: str, flags: str, precision: int | None, width: int) -> str:
    lower = kind.lower()
    if lower == "b":
        text = str(value is not None and value is not False).lower()[:precision]
    elif value is None:
        text = "null"[:precision]
    elif lower == "s":
        text = _plain(value)[:precision]
    elif lower == "c":
        text = value if isinstance(value, str) and len(value) == 1 else chr(value)
    elif lower in "doxefg":
        text = _number(value, lower, flags, precision, width)
    else:
        raise ValueError(kind)
    return text.upper() if kind != lower else text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "f") if type(value).__name__ == "Decimal" else str(value)


def _number(value: Any, kind: str, flags: str, precision: int | None, width: int) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole != (kind in "dox") or isinstance(value, (bool, str)):
        raise ValueError(f"%{kind} of {value!r}")
    if kind in "ox":
        digits = format(value & (1 << 64) - 1 if value < 0 else value, kind)
        prefix = {"o": "0", "x": "0x"}[kind] if "#" in flags else ""
        return prefix + (digits.rjust(width - len(prefix), "0") if "0" in flags else digits)
    size = abs(value)
    comma = "," if "," in flags else ""
    digits = format(size, f"{comma}d" if whole else f"{comma}.{6 if precision is None else precision}{kind}")
    front, back = ("(", ")") if value < 0 and "(" in flags else ("-", "") if value < 0 else ("", "")
    if not front:
        front = "+" if "+" in flags else " " if " " in flags else ""
    return front + (digits.rjust(width - len(front) - len(back), "0") if "0" in flags else digits) + back
