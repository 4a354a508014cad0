"""A backend of keyed state in memory, and values as JSON."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any


class Memory:
    """A backend that counts its requests."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.reads: list[int] = []
        self.pages = 0
        self.writes: list[int] = []

    def read(self, keys: Any) -> list[bytes | None]:
        self.reads.append(len(keys))
        return [self.entries.get(key) for key in keys]

    def page(self, prefix: bytes, after: bytes | None, limit: int) -> tuple[list[tuple[bytes, bytes]], bool]:
        self.pages += 1
        keys = sorted(key for key in self.entries if key.startswith(prefix))
        keys = keys[bisect_right(keys, after) :] if after is not None else keys
        return [(key, self.entries[key]) for key in keys[:limit]], len(keys) <= limit

    def write(self, cleared: Any, changes: Any) -> None:
        self.writes.append(len(changes))
        for prefix in cleared:
            self.entries = {key: value for key, value in self.entries.items() if not key.startswith(prefix)}
        for key, value in changes:
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value


class Json:
    def __init__(self, data_type: Any) -> None:
        self.is_immutable = data_type.root in ("BIGINT", "VARCHAR")

    def encode(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def decode(self, data: bytes) -> Any:
        return json.loads(data)

    def kept(self, value: Any, data: bytes) -> Any:
        return self.decode(data)
