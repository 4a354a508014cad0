"""Text of others on a terminal: what functions print must not move the cursor, set titles or hide lines."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]")
"""Control characters but tab and line feed, and marks that change the direction of text."""


def visible(text: str) -> str:
    r"""The text with control characters written out, as ``\\x1b``."""
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
