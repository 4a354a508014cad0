"""Texts, their codes and hashes."""

from __future__ import annotations

import base64
import hashlib
import re

from .nulls import strict

_WORD = re.compile(r"[^\W_]+")


@strict
def initcap(text: str) -> str:
    """Each word with a capital letter and small ones behind it; words are of letters and digits."""
    return _WORD.sub(lambda word: word[0][:1].upper() + word[0][1:].lower(), text)


@strict
def split_index(text: str, separator: str, index: int) -> str | None:
    """A part between separators, from 0; null where there is none."""
    parts = split(text, separator)
    return parts[index] if 0 <= index < len(parts) else None


@strict
def split(text: str, separator: str) -> list[str]:
    """The parts between separators; without one, the characters."""
    return text.split(separator) if separator else list(text)


@strict
def translate(text: str, characters: str, others: str) -> str:
    """Each of the characters replaced by the one at its place among the others, or left out where there is none."""
    table: dict[int, str | None] = {}
    for position, character in enumerate(characters):
        table.setdefault(ord(character), others[position] if position < len(others) else None)
    return text.translate(table)


@strict
def ascii_code(text: str) -> int:
    """The number of the first character; 0 of no text."""
    return ord(text[0]) if text else 0


@strict
def character(number: int) -> str:
    """The character of a number from 0 to 255: of greater ones the last eight bits, of negative ones no text."""
    return "" if number < 0 else chr(number & 255)


@strict
def hexadecimal(value: str | int) -> str:
    """The bytes of a text in UTF-8, or a whole number, as hexadecimal digits; of negative ones their 64 bits."""
    return f"{value & ((1 << 64) - 1):X}" if isinstance(value, int) else value.encode().hex().upper()


@strict
def to_base64(text: str) -> str:
    """The text in UTF-8, as base64."""
    return base64.b64encode(text.encode()).decode()


@strict
def from_base64(text: str) -> str:
    """The text that a base64 text stands for, in UTF-8."""
    return base64.b64decode(text, validate=True).decode()


@strict
def md5(text: str) -> str:
    """The MD5 hash of the text in UTF-8, as hexadecimal digits."""
    return hashlib.new("md5", text.encode(), usedforsecurity=False).hexdigest()


@strict
def sha1(text: str) -> str:
    """The SHA-1 hash of the text in UTF-8, as hexadecimal digits."""
    return hashlib.new("sha1", text.encode(), usedforsecurity=False).hexdigest()


@strict
def sha2(text: str, bits: int) -> str:
    """The SHA-2 hash of so many bits of the text in UTF-8, as hexadecimal digits."""
    if bits not in (224, 256, 384, 512):
        raise ValueError(f"there is no SHA-2 hash of {bits} bits: 224, 256, 384 and 512 there are")
    return hashlib.new(f"sha{bits}", text.encode()).hexdigest()


@strict
def sha224(text: str) -> str:
    """The SHA-2 hash of 224 bits."""
    return str(sha2(text, 224))


@strict
def sha256(text: str) -> str:
    """The SHA-2 hash of 256 bits."""
    return str(sha2(text, 256))


@strict
def sha384(text: str) -> str:
    """The SHA-2 hash of 384 bits."""
    return str(sha2(text, 384))


@strict
def sha512(text: str) -> str:
    """The SHA-2 hash of 512 bits."""
    return str(sha2(text, 512))
