"""One value of one key, written back later."""

from __future__ import annotations

from .backend import framed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .backend import Codec, StateBackend
    from .lifetime import Lifetime

    Changes = tuple[list[bytes], list[tuple[bytes, bytes | None]]]


class ValueCell:
    """Holds bytes rather than values that can be changed in place: what was not passed to `update` is not kept."""

    __slots__ = (
        "_backend",
        "_changed",
        "_codec",
        "_exact",
        "_is_encoded",
        "_is_loaded",
        "_is_plain",
        "_key",
        "_lifetime",
        "_stamped",
        "_value",
    )

    def __init__(self, key: bytes, codec: Codec, lifetime: Lifetime, backend: StateBackend) -> None:
        self._key = key
        self._codec = codec
        self._lifetime = lifetime
        self._backend = backend
        # Nothing but the value itself says what `value` gives.
        self._is_plain = codec.is_immutable and lifetime.is_endless
        # Values of this type within these limits are encoded when they are written, and not each time they change.
        self._exact = getattr(codec, "exact", None) if self._is_plain else None
        self._is_encoded = True
        self._stamped: bytes | None = None
        self._value: Any = None
        self._is_loaded = False
        self._changed = False

    @staticmethod
    def key_of(prefix: bytes) -> bytes:
        """Where the value lies."""
        return prefix + b"v"

    def load(self, stamped: bytes | None) -> None:
        """What the backend holds, read by someone else."""
        if not self._is_loaded:
            self._set(stamped)

    def _set(self, stamped: bytes | None) -> None:
        self._stamped = stamped
        self._is_loaded = self._is_encoded = True
        fixed = stamped is not None and self._codec.is_immutable
        self._value = self._codec.decode(self._lifetime.data(stamped)) if stamped is not None and fixed else None

    def value(self) -> Any:
        """The value, or None."""
        if self._is_plain and self._is_loaded:
            return self._value
        if not self._is_loaded:
            self._set(self._backend.read([self._key])[0])
        stamped = self._stamped
        if stamped is None:
            return None
        if self._lifetime.is_hidden(stamped):
            self.clear()
            return None
        again = self._lifetime.read_again(stamped)
        if again is not None:
            self._stamped = again
            self._changed = True
        return self._value if self._codec.is_immutable else self._codec.decode(self._lifetime.data(stamped))

    def update(self, value: Any) -> None:
        """Sets the value; None clears it."""
        exact = self._exact
        if exact is not None and type(value) is exact[0] and exact[1] <= value <= exact[2]:
            self._value = value
            self._is_loaded = self._changed = True
            self._is_encoded = False
            return
        if value is None:
            self.clear()
            return
        data = self._codec.encode(value)
        self._stamped = self._lifetime.stamp(data)
        self._value = self._codec.kept(value, data) if self._codec.is_immutable else None
        self._is_loaded = self._is_encoded = self._changed = True

    def clear(self) -> None:
        """Removes the value."""
        self._set(None)
        self._changed = True

    def take_changes(self) -> Changes:
        """What is to be written, once."""
        changed, self._changed = self._changed, False
        if not self._is_encoded:
            self._stamped = self._codec.encode(self._value)
            self._is_encoded = True
        return [], [(self._key, self._stamped)] if changed else []


def state_prefix(key: bytes, name: str) -> bytes:
    """What all entries of a key's state begin with: the key first, so that all of its states lie together."""
    return framed(key) + framed(name.encode())
