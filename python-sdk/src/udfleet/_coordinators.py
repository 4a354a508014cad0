"""Which of a fleet's coordinators is asked: the one that answered last, as long as it does. Decides, does no I/O."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from ._address import is_local, normal
from .errors import InvalidInputError, UdfleetError, UnreachableError

MAX_LEARNED = 64
"""Coordinators that are remembered besides those that the user has named."""


class Coordinators:
    """The coordinators of one fleet: those that the user names, and those that they name. Thread-safe."""

    def __init__(self, given: Sequence[str]) -> None:
        self.given = tuple(given)
        self._lock = threading.Lock()
        self._learned: tuple[str, ...] = ()
        self._preferred = self.given[0]
        self._failures: dict[str, float] = {}
        """When each of those that have failed, and not answered since, failed last."""

    @property
    def preferred(self) -> str:
        """Who is asked first."""
        return self._preferred

    @property
    def known(self) -> tuple[str, ...]:
        """All of them: first those that the user has named."""
        return (*self.given, *self._learned)

    def order(self) -> list[str]:
        """The order in which to try them: the preferred one first, those that have failed last."""
        with self._lock:
            return self._order()

    def _order(self) -> list[str]:
        # Sorting is stable: of those that have not failed, the user's own come first.
        known = sorted(self.known, key=lambda address: self._failures.get(address, 0.0))
        return sorted(known, key=lambda address: address != self._preferred)

    def untried(self, tried: Iterable[str]) -> str | None:
        """The next to try, after these."""
        return next((address for address in self.order() if address not in tried), None)

    def answered(self, address: str) -> None:
        """It is there: it stays the one that is asked."""
        if address == self._preferred and address not in self._failures:
            return
        with self._lock:
            self._failures.pop(address, None)
            self._preferred = address

    def failed(self, address: str) -> None:
        """It is away: others are asked first, until one of them is."""
        with self._lock:
            if address not in self.known:
                return
            self._failures[address] = time.monotonic()
            if address == self._preferred:
                self._preferred = min(self.known, key=lambda each: self._failures.get(each, 0.0))

    def learn(self, source: str, addresses: Iterable[str]) -> None:
        """What one of them says of all. Those that it does not name any more are forgotten, the user's own never.

        Names for the machine that uses them mean this one only where the coordinator is on it.
        """
        nearby = is_local(source)
        found: dict[str, None] = {}
        for each in addresses:
            try:
                address = normal(each)
            except InvalidInputError:
                # From a later version, perhaps.
                continue
            if address not in self.given and (nearby or not is_local(address)):
                found[address] = None
        with self._lock:
            self._learned = tuple(found)[:MAX_LEARNED]
            known = set(self.known)
            self._failures = {address: when for address, when in self._failures.items() if address in known}
            if self._preferred not in known:
                self._preferred = min(self.known, key=lambda each: self._failures.get(each, 0.0))


class Attempts:
    """One request, which goes to one coordinator after another until one has taken it. Iterates over whom to ask.

    :param repeatable: it does no harm where two coordinators have carried it out.
    """

    def __init__(self, coordinators: Coordinators, repeatable: bool = True) -> None:
        self._coordinators = coordinators
        self._repeatable = repeatable
        self._tried: list[str] = []
        self._failures: list[UdfleetError] = []

    def __iter__(self) -> Iterator[str]:
        while (address := self._coordinators.untried(self._tried)) is not None:
            self._tried.append(address)
            yield address

    @property
    def others(self) -> bool:
        """Whether somebody is left to ask."""
        return self._coordinators.untried(self._tried) is not None

    def failed(self, address: str, error: UdfleetError) -> None:
        """Notes a failure.

        :raises UdfleetError: the failure, where it is not for another coordinator to do better.
        """
        # Not a subclass: what a forked process is refused has nothing to do with coordinators.
        away = type(error) is UnreachableError
        if away:
            self._coordinators.failed(address)
        if not (error.has_no_side_effects and error.retryable) and not (away and self._repeatable):
            raise error
        self._failures.append(error)

    def answered(self, address: str) -> None:
        """It has got on: should it break off, all others are worth a try again."""
        self._coordinators.answered(address)
        self._tried[:] = [address]
        self._failures.clear()

    def failure(self) -> UdfleetError:
        """Why nobody could."""
        # Somebody who answers knows more than those who don't.
        told = [error for error in self._failures if not isinstance(error, UnreachableError)]
        if told or len(self._failures) == 1:
            return (told or self._failures)[0]
        unsent = all(error.has_no_side_effects for error in self._failures)
        return UnreachableError(
            "; ".join(error.message for error in self._failures),
            hint=self._failures[0].hint,
            has_no_side_effects=unsent,
        )
