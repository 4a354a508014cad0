"""Values that expire: the time that they were written or read lies before their bytes."""

from __future__ import annotations

from .descriptors import StateTtlConfig, StateVisibility, UpdateType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import BundleClock

_TIME = 8


class Lifetime:
    """How values of one state are stamped, and when they are gone."""

    __slots__ = ("_clock", "_config", "is_endless")

    def __init__(self, config: StateTtlConfig | None, clock: BundleClock) -> None:
        self.is_endless = config is None
        """Whether values never expire."""
        self._config = config
        self._clock = clock

    def stamp(self, data: bytes) -> bytes:
        """A value that is written now."""
        return data if self._config is None else self._clock.now.to_bytes(_TIME, "big") + data

    def data(self, stamped: bytes) -> bytes:
        """The value itself."""
        return stamped if self._config is None else stamped[_TIME:]

    def is_expired(self, stamped: bytes) -> bool:
        """Whether its time is up."""
        if self._config is None:
            return False
        return int.from_bytes(stamped[:_TIME], "big") + self._config.milliseconds <= self._clock.now

    def is_hidden(self, stamped: bytes) -> bool:
        """Whether it is gone for the function."""
        hides = self._config is not None and self._config.visibility is StateVisibility.NeverReturnExpired
        return hides and self.is_expired(stamped)

    def read_again(self, stamped: bytes) -> bytes | None:
        """The value as it is to be written because it was read, or None where nothing changes."""
        if self._config is None or self._config.update_type is not UpdateType.OnReadAndWrite:
            return None
        again = self.stamp(self.data(stamped))
        return None if again == stamped or self.is_expired(stamped) else again
