"""What caches stand on: what an interpreter can ask of its partition's owner, and how values become bytes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    class StateBackend(Protocol):
        """The owner's side. Each call is one request. What is written is seen by later calls, and held back until the
        bundle commits.
        """

        def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
            """The values of these keys, in their order."""

        def page(self, prefix: bytes, after: bytes | None, limit: int) -> tuple[list[tuple[bytes, bytes]], bool]:
            """At most `limit` entries whose keys begin with `prefix`, those behind `after`, ordered by key; and whether
            they are the last.
            """

        def write(self, cleared: Sequence[bytes], changes: Sequence[tuple[bytes, bytes | None]]) -> None:
            """Deletes all that begins with one of `cleared`, then writes values, or deletes where there is None."""

    class Codec(Protocol):
        """Values of one type as bytes. Equal values have equal bytes."""

        is_immutable: bool
        """Whether no value of the type can be changed in place."""

        def encode(self, value: Any) -> bytes:
            """The value as bytes, or an error where it does not fit the type."""

        def decode(self, data: bytes) -> Any:
            """The value, a new one each time."""

        def kept(self, value: Any, data: bytes) -> Any:
            """What `decode` gives for a value that was encoded as `data`: the value itself where it is no other."""


class CacheSizes:
    """`python.state.cache-size`, and the three keys of map states."""

    __slots__ = ("map_page", "map_reads", "map_writes", "states")

    def __init__(self, states: int = 1000, map_reads: int = 1000, map_writes: int = 1000, map_page: int = 1000) -> None:
        self.states = states
        self.map_reads = map_reads
        self.map_writes = map_writes
        self.map_page = max(1, map_page)


def framed(part: bytes) -> bytes:
    """Bytes behind their length, so that no key is the beginning of another."""
    return len(part).to_bytes(4, "big") + part
