"""The list of one key, written back later."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .backend import Codec, StateBackend
    from .clock import BundleClock
    from .lifetime import Lifetime
    from .value_cell import Changes


class ListCell:
    """Elements lie in the order of their places; appending one reads nothing."""

    __slots__ = ("_added", "_backend", "_cleared", "_clock", "_codec", "_deleted", "_lifetime", "_page", "_prefix")

    def __init__(
        self, prefix: bytes, codec: Codec, lifetime: Lifetime, backend: StateBackend, clock: BundleClock, page: int
    ) -> None:
        self._prefix = prefix + b"l"
        self._codec = codec
        self._lifetime = lifetime
        self._backend = backend
        self._clock = clock
        self._page = page
        self._added: dict[bytes, bytes] = {}
        self._deleted: list[bytes] = []
        self._cleared = False

    def get(self) -> Iterator[Any]:
        """The elements. One that is added meanwhile is seen."""
        self._write()
        after: bytes | None = None
        is_last = False
        while not is_last:
            entries, is_last = self._backend.page(self._prefix, after, self._page)
            for place, stamped in entries:
                after = place
                if self._lifetime.is_hidden(stamped):
                    self._deleted.append(place)
                    continue
                again = self._lifetime.read_again(stamped)
                if again is not None:
                    self._added[place] = again
                yield self._codec.decode(self._lifetime.data(stamped))
            if is_last and self._added:
                self._write()
                entries, is_last = self._backend.page(self._prefix, after, 1)
                is_last = not entries

    def _write(self) -> None:
        cleared, changes = self.take_changes()
        if cleared or changes:
            self._backend.write(cleared, changes)

    def add(self, value: Any) -> None:
        """Appends an element."""
        if value is None:
            raise ValueError("a list state takes no None")
        self._added[self._prefix + self._clock.next_place()] = self._lifetime.stamp(self._codec.encode(value))

    def add_all(self, values: Iterable[Any]) -> None:
        """Appends elements."""
        for value in values:
            self.add(value)

    def update(self, values: Iterable[Any]) -> None:
        """Replaces the elements."""
        values = list(values)
        self.clear()
        self.add_all(values)

    def clear(self) -> None:
        """Removes all elements."""
        self._added.clear()
        self._deleted.clear()
        self._cleared = True

    def take_changes(self) -> Changes:
        """What is to be written, once."""
        cleared = [self._prefix] if self._cleared else []
        changes: list[tuple[bytes, bytes | None]] = [(place, None) for place in self._deleted]
        changes.extend(self._added.items())
        self._cleared = False
        self._added.clear()
        self._deleted.clear()
        return cleared, changes
