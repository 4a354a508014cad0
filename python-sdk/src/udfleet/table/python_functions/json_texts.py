"""JSON texts of values, and of texts that are JSON already."""

from __future__ import annotations

import base64
import datetime
import functools
import json
import math
from decimal import Decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@functools.lru_cache(maxsize=256)
def _flags(text: str) -> tuple[bool, frozenset[int]]:
    """Whether nulls are left out, and which values are JSON already: `absent:1,3`."""
    on_null, _, raw = text.partition(":")
    return on_null == "absent", frozenset(int(position) for position in raw.split(",") if position)


def _written(value: Any) -> str:
    """As Flink writes it: bytes as base64, times as text, rows as objects."""
    if value is None or isinstance(value, (bool, int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no form in JSON")
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray)):
        return json.dumps(base64.b64encode(value).decode())
    if isinstance(value, (datetime.date, datetime.time)):
        text = value.isoformat()
        return json.dumps(text.replace("+00:00", "Z"))
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_written, value)) + "]"
    fields = value if isinstance(value, dict) else value.as_dict()
    return "{" + ",".join(f"{_key(key)}:{_written(inner)}" for key, inner in fields.items()) + "}"


def _key(key: Any) -> str:
    return json.dumps(key if isinstance(key, str) else _written(key).strip('"'), ensure_ascii=False)


def _part(value: Any, is_json: bool) -> str:
    return value if is_json and value is not None else _written(value)


def json_object(flags: str, *pairs: Any) -> str:
    """An object of keys and values in turn."""
    absent, raw = _flags(flags)
    made: dict[str, str] = {}
    for position in range(0, len(pairs), 2):
        key, value = pairs[position : position + 2]
        if key is None:
            raise ValueError("a key of JSON_OBJECT is null")
        if not (absent and value is None):
            made[key] = _part(value, position + 1 in raw)
    return "{" + ",".join(f"{_key(key)}:{text}" for key, text in made.items()) + "}"


def json_array(flags: str, *values: Any) -> str:
    """An array of values."""
    absent, raw = _flags(flags)
    kept = ((position, value) for position, value in enumerate(values) if not (absent and value is None))
    return "[" + ",".join(_part(value, position in raw) for position, value in kept) + "]"


def json_string(value: Any) -> str | None:
    """The value as JSON."""
    return None if value is None else _written(value)


def raw_json(text: str | None) -> str | None:
    """A text that is JSON already: null of an empty one."""
    if not text:
        return None
    json.loads(text)
    return text
