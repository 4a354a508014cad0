"""Texts, their codes and hashes."""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
import urllib.parse

from .nulls import strict

_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]*")
_CHARSETS = ("US-ASCII", "ISO-8859-1", "UTF-8", "UTF-16BE", "UTF-16LE", "UTF-16")
_ILLEGAL_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_PROTOCOLS = ("http", "https", "ftp", "file", "jar", "mailto")
_SERVER = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::\d*)?")
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


@strict
def unhex(text: str) -> bytes | None:
    """The bytes of hexadecimal digits; null where it has other characters."""
    if not _HEXADECIMAL.fullmatch(text):
        return None
    # Of an odd number of digits Flink leaves out the first, with a zero byte in its place.
    return bytes.fromhex(text) if len(text) % 2 == 0 else b"\0" + bytes.fromhex(text[1:])


@strict
def decode(data: bytes, charset: str) -> str:
    """The text that bytes of a character set stand for."""
    return data.decode(_codec(charset, data), errors="replace")


@strict
def encode(text: str, charset: str) -> bytes:
    """The text in bytes of a character set."""
    codec = _codec(charset)
    return (codecs.BOM_UTF16_BE if charset.upper() == "UTF-16" else b"") + text.encode(codec, errors="replace")


def _codec(charset: str, data: bytes = b"") -> str:
    """Python's name of the character set; UTF-16 is big-endian unless the data's byte order mark says otherwise."""
    name = charset.upper()
    if name not in _CHARSETS:
        raise ValueError(f"there is no character set {charset!r}: {', '.join(_CHARSETS)} there are")
    if name != "UTF-16":
        return name
    return name if data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)) else "UTF-16BE"


@strict
def url_encode(text: str) -> str:
    """The text as a part of a form in a URL."""
    # Python leaves a tilde as it is, whatever is said to be safe.
    return urllib.parse.quote_plus(text, safe="*-._").replace("~", "%7E")


@strict
def url_decode(text: str) -> str | None:
    """The text that a part of a form in a URL stands for; null where an escape in it is none."""
    return None if _ILLEGAL_ESCAPE.search(text) else urllib.parse.unquote_plus(text, errors="replace")


@strict
def parse_url(url: str, part: str, key: str | None = None) -> str | None:
    """A part of a URL, such as HOST or QUERY, as it is written; with a key, its value in the query.

    Null of a text that is no URL.
    """
    parsed = _URL.fullmatch(url.strip())
    if parsed is None or parsed[1].lower() not in _PROTOCOLS:
        return None
    scheme, authority, path, query, reference = parsed.groups()
    user, at, server = (authority or "").rpartition("@")
    place = _SERVER.fullmatch(server)
    if place is None:
        return None
    if key is not None:
        value = re.search(f"(?:^|&){re.escape(key)}=([^&]*)", query or "") if part == "QUERY" else None
        return value[1] if value else None
    parts = {
        "HOST": place[1], "PATH": path, "QUERY": query, "REF": reference, "PROTOCOL": scheme.lower(),
        "FILE": path if query is None else f"{path}?{query}", "AUTHORITY": authority or None,
        "USERINFO": user if at else None,
    }  # fmt: skip
    if part not in parts:
        raise ValueError(f"a URL has no part {part!r}: {', '.join(parts)} there are")
    return parts[part]


def elt(index: int | None, *values: str | None) -> str | None:
    """The value at a position, from 1; null where there is none."""
    return values[index - 1] if index is not None and 1 <= index <= len(values) else None


@strict
def str_to_map(text: str, separator: str = ",", middle: str = "=") -> dict[str, str | None]:
    """Pairs of keys and values; both separators are regular expressions."""
    pairs = (_split(middle, pair, limit=2) for pair in _split(separator, text))
    return {pair[0]: pair[1] if len(pair) > 1 else None for pair in pairs}


def _split(pattern: str, text: str, limit: int = 0) -> list[str]:
    """The parts between matches as Java has them: no groups, and without a limit no empty parts at the end."""
    parts: list[str] = []
    start = 0
    for match in re.finditer(pattern, text):
        if len(parts) + 1 == limit:
            break
        # A match of no text at the start splits nothing off.
        if match.end() > 0:
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    while not limit and parts and not parts[-1]:
        parts.pop()
    return parts if parts or start else [text]


@strict
def inet_aton(text: str) -> int | None:
    """The number of an IPv4 address, of which zeros in the middle may be left out, `127.1`; null where it is none."""
    parts = text.split(".")
    if len(parts) > 4 or not all(re.fullmatch("0*[0-9]{1,3}", part) for part in parts):
        return None
    # Python refuses to read numbers of thousands of digits, zeros among them.
    numbers = [int(part[-3:]) for part in parts]
    if max(numbers) > 255:
        return None
    *front, last = numbers
    front += [0] * (3 - len(front))
    return (front[0] << 24) + (front[1] << 16) + (front[2] << 8) + last


@strict
def inet_ntoa(number: int) -> str | None:
    """The IPv4 address of a number; null where it is none."""
    if not 0 <= number < 1 << 32:
        return None
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


@strict
def is_valid_utf8(value: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@strict
def make_valid_utf8(value: bytes) -> str:
    """The text of the bytes, with U+FFFD in place of what is not UTF-8."""
    return value.decode(errors="replace")
