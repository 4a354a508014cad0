"""The map of one key: cached reads, pending writes."""

from __future__ import annotations

from collections import OrderedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from .backend import CacheSizes, Codec, StateBackend
    from .lifetime import Lifetime
    from .value_cell import Changes


class MapCell:
    """Entries by their encoded keys. An absent entry is None, which no stored one is: a stored None has bytes."""

    def __init__(
        self,
        prefix: bytes,
        codecs: tuple[Codec, Codec],
        lifetime: Lifetime,
        backend: StateBackend,
        sizes: CacheSizes,
    ) -> None:
        self._prefix = prefix + b"m"
        self._keys, self._values = codecs
        self._lifetime = lifetime
        self._backend = backend
        self._sizes = sizes
        self._reads: OrderedDict[bytes, bytes | None] = OrderedDict()
        self._pending: dict[bytes, bytes | None] = {}
        # The backend's entries are to be deleted before anything pending is written.
        self._clear_first = False
        # Whatever is neither pending nor among the reads is absent.
        self._knows_all = False
        self._modifications = 0

    def get(self, key: Any) -> Any:
        """The value, or None."""
        stamped = self._entry(self._place(key))
        return None if stamped is None else self._decode(stamped)

    def contains(self, key: Any) -> bool:
        """Whether there is an entry, also one whose value is None."""
        return self._entry(self._place(key)) is not None

    def put(self, key: Any, value: Any) -> None:
        """Sets an entry."""
        stamped = self._lifetime.stamp(self._encode(value))
        self._modifications += 1
        self._change(self._place(key), stamped)

    def put_all(self, entries: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        """Sets entries: those of a dict, or pairs."""
        pairs = entries.items() if hasattr(entries, "items") else entries
        for key, value in pairs:
            self.put(key, value)

    def remove(self, key: Any) -> None:
        """Removes an entry, if there is one."""
        self._modifications += 1
        self._change(self._place(key), None)

    def clear(self) -> None:
        """Removes all entries."""
        self._modifications += 1
        self._pending.clear()
        self._reads.clear()
        self._clear_first = True
        self._knows_all = True

    def is_empty(self) -> bool:
        """Whether there is no entry."""
        return next(self._entries(), None) is None

    def items(self) -> MapIterator:
        """Keys and values."""
        return MapIterator(self, lambda place, stamped: (self._key(place), self._decode(stamped)))

    def keys(self) -> MapIterator:
        """The keys."""
        return MapIterator(self, lambda place, _: self._key(place))

    def values(self) -> MapIterator:
        """The values."""
        return MapIterator(self, lambda _, stamped: self._decode(stamped))

    def _place(self, key: Any) -> bytes:
        return self._prefix + self._keys.encode(key)

    def _key(self, place: bytes) -> Any:
        return self._keys.decode(place[len(self._prefix) :])

    def _encode(self, value: Any) -> bytes:
        return b"\0" if value is None else b"\1" + self._values.encode(value)

    def _decode(self, stamped: bytes) -> Any:
        data = self._lifetime.data(stamped)
        return None if data[:1] == b"\0" else self._values.decode(data[1:])

    def _entry(self, place: bytes) -> bytes | None:
        """The entry as the function sees it, which counts as read."""
        return self._seen(place, self._find(place))

    def _find(self, place: bytes) -> bytes | None:
        if place in self._pending:
            return self._pending[place]
        if place in self._reads:
            self._reads.move_to_end(place)
            return self._reads[place]
        if self._knows_all:
            return None
        stamped = self._backend.read([place])[0]
        self._remember(place, stamped)
        return stamped

    def _seen(self, place: bytes, stamped: bytes | None) -> bytes | None:
        if stamped is None:
            return None
        if self._lifetime.is_hidden(stamped):
            self._change(place, None)
            return None
        again = self._lifetime.read_again(stamped)
        if again is not None:
            self._change(place, again)
        return stamped

    def _remember(self, place: bytes, stamped: bytes | None) -> None:
        """Caches what the backend holds, or will hold."""
        self._reads[place] = stamped
        self._reads.move_to_end(place)
        while len(self._reads) > self._sizes.map_reads:
            _, dropped = self._reads.popitem(last=False)
            # Of an absent one nothing is lost while all others are known.
            self._knows_all = self._knows_all and dropped is None

    def _change(self, place: bytes, stamped: bytes | None) -> None:
        self._pending[place] = stamped
        if len(self._pending) >= self._sizes.map_writes:
            self.write()

    def write(self) -> None:
        """Sends what is pending, in one request."""
        cleared, changes = self.take_changes()
        if cleared or changes:
            self._backend.write(cleared, changes)

    def take_changes(self) -> Changes:
        """What is to be written, once."""
        cleared = [self._prefix] if self._clear_first else []
        # After a clear there is nothing that an absent entry would have to delete.
        changes = [(place, stamped) for place, stamped in self._pending.items() if stamped is not None or not cleared]
        for place, stamped in self._pending.items():
            self._remember(place, stamped)
        self._pending.clear()
        self._clear_first = False
        return cleared, changes

    def _entries(self) -> Iterator[tuple[bytes, bytes]]:
        """The entries that the function sees, in the order of their keys. Pending writes come first."""
        self.write()
        if self._knows_all:
            yield from self._known()
        else:
            yield from self._stored()

    def _known(self) -> Iterator[tuple[bytes, bytes]]:
        for place in sorted(self._reads):
            stamped = self._seen(place, self._find(place))
            if stamped is not None:
                yield place, stamped

    def _stored(self) -> Iterator[tuple[bytes, bytes]]:
        after: bytes | None = None
        is_first = True
        is_last = False
        while not is_last:
            entries, is_last = self._backend.page(self._prefix, after, self._sizes.map_page)
            if is_first and is_last and len(entries) <= self._sizes.map_reads:
                self._reads.clear()
                for place, stamped in entries:
                    self._remember(place, stamped)
                self._knows_all = True
            is_first = False
            for place, stamped in entries:
                after = place
                seen = self._seen(place, stamped)
                if seen is not None:
                    yield place, seen


class MapIterator:
    """An iteration over a map's entries. Its own `remove` is the only change that it allows."""

    def __init__(self, cell: MapCell, shown: Any) -> None:
        self._cell = cell
        self._shown = shown
        self._entries = cell._entries()
        self._place: bytes | None = None
        self._modifications = cell._modifications

    def __iter__(self) -> MapIterator:
        return self

    def __next__(self) -> Any:
        if self._modifications != self._cell._modifications:
            raise RuntimeError("the map was changed while it is iterated over: use the iterator's remove()")
        self._place, stamped = next(self._entries)
        return self._shown(self._place, stamped)

    def remove(self) -> None:
        """Removes the entry that was returned last."""
        if self._place is None:
            raise RuntimeError("there is no entry to remove: call next() first")
        self._cell._change(self._place, None)
        self._place = None
