"""Time and numbers of the bundle that runs."""

from __future__ import annotations


class BundleClock:
    """One time for a whole bundle, so that running it again gives the same; and numbers that only rise."""

    __slots__ = ("_appended", "_bundle", "now")

    def __init__(self) -> None:
        self.now = 0
        self._bundle = 0
        self._appended = 0

    def begin(self, bundle: int, now: int) -> None:
        """A bundle begins: its number, which is higher than those before, and its time in milliseconds."""
        self._bundle = bundle
        self._appended = 0
        self.now = now

    def next_place(self) -> bytes:
        """A place behind all that were given before, for an element that is appended without reading its list."""
        self._appended += 1
        return self._bundle.to_bytes(8, "big") + self._appended.to_bytes(4, "big")
