"""Many batches in flight over several streams; answers in order; what is lost is sent again elsewhere."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

import pyarrow as pa

from .. import _failures, errors
from ..errors import UdfleetError
from . import codec
from .directory import Directory
from .link import Item, Link, LinkLostError

MAX_LINKS = 16
"""Executors that one call uses at most, so that its cost does not grow with the fleet."""

_BACKOFF_SECONDS = 0.1

_TRY_ELSEWHERE = (errors.NoCapacityError, errors.ExecutorLostError, errors.UnreachableError)


class Pipeline:
    """One caller's traffic with one function. Not thread-safe."""

    def __init__(
        self,
        directory: Directory,
        function: str,
        job: str,
        *,
        direct: bool = True,
        max_attempts: Callable[[], int] = lambda: 3,
        max_links: int = MAX_LINKS,
    ) -> None:
        self._directory = directory
        self._function = function
        self._descriptor = codec.descriptor(function, job)
        self._direct = direct
        self._max_attempts = max_attempts
        self._max_links = max_links
        self._order: deque[Item] = deque()
        self._resend: deque[Item] = deque()
        self._links: list[Link] = []
        self._failed: set[str] = set()
        self._silent: set[str] = set()
        """Peers that could not be reached, or went away, rather than refused."""
        self._rounds = 0
        self._opened = False
        self._candidates = self._find_candidates()

    def _find_candidates(self) -> list[str]:
        """Peers to open streams to, the last first."""
        if not self._direct:
            return [self._directory.coordinator]
        executors = [a for a in self._directory.route(self._function).executors if a not in self._failed]
        random.shuffle(executors)
        # The coordinator forwards: good enough when nobody else can be reached.
        return executors[: self._max_links] or [self._directory.coordinator]

    def __len__(self) -> int:
        """Batches submitted whose answers have not been taken."""
        return len(self._order)

    def offer(self, item: Item) -> bool:
        """Sends a batch if there is room for it; where there is none, `receive` makes some."""
        if self._resend:
            return False
        link = self._pick(item.size)
        if link is None:
            return False
        self._order.append(item)
        link.send(item)
        return True

    def receive(self) -> pa.RecordBatch:
        """The answer to the oldest batch submitted and not yet taken; waits for it."""
        item = self._order[0]
        while item.answer is None:
            self._send_again()
            # An item that waits for room gets it when any stream answers.
            self._read(item.link or next(link for link in self._links if link.in_flight))
        self._order.popleft()
        return item.answer

    def _pick(self, size: int) -> Link | None:
        """The stream with the least in flight; a new one before a second batch goes onto any."""
        best: Link | None = None
        for link in self._links:
            if (best is None or len(link.in_flight) < len(best.in_flight)) and link.has_room(size):
                best = link
        if self._candidates and (best is None or best.in_flight):
            return self._open() or best
        return best

    def _open(self) -> Link | None:
        while self._candidates:
            address = self._candidates.pop()
            try:
                client, options = self._directory.client(address), self._directory.call_options
                link = Link(client, address, self._descriptor, options)
            except LinkLostError as lost:
                self._failed.add(address)
                self._silent.add(address)
                self._next_candidates(lost.reason)
                continue
            self._links.append(link)
            return link
        return None

    def _send_again(self) -> None:
        while self._resend and (link := self._pick(self._resend[0].size)) is not None:
            link.send(self._resend.popleft())

    def _read(self, link: Link) -> None:
        try:
            link.receive()
            self._opened = True
        except LinkLostError as lost:
            self._silent.add(link.address)
            self._lose(link, lost.reason)
        except _TRY_ELSEWHERE as refused:
            self._lose(link, refused)
        except errors.FunctionNotFoundError as unknown:
            # An executor that was assigned elsewhere meanwhile; the coordinator knows better.
            if link.address == self._directory.coordinator:
                raise
            self._lose(link, unknown)

    def _lose(self, link: Link, reason: UdfleetError) -> None:
        """Takes a stream out of service and queues what it has not answered."""
        link.cancel()
        self._links.remove(link)
        self._failed.add(link.address)
        self._directory.forget(self._function)
        for item in link.in_flight:
            item.link = None
            if link.answered:
                item.attempt += 1
            if item.attempt > self._max_attempts():
                raise self._gave_up(reason, item.attempt - 1)
        self._resend = deque(sorted([*link.in_flight, *self._resend], key=self._position))
        self._next_candidates(reason)

    def _position(self, item: Item) -> int:
        return self._order.index(item)

    def _next_candidates(self, reason: UdfleetError) -> None:
        """Somebody else to turn to when nobody is left: the coordinator, then everybody again after a pause."""
        if self._links or self._candidates:
            return
        if self._directory.coordinator not in self._failed:
            self._candidates = [self._directory.coordinator]
            return
        self._rounds += 1
        if self._rounds >= self._max_attempts():
            raise self._gave_up(reason, self._rounds)
        time.sleep(_BACKOFF_SECONDS * 4 ** (self._rounds - 1))
        self._failed.clear()
        try:
            self._candidates = self._find_candidates()
        except errors.UnreachableError:
            self._candidates = [self._directory.coordinator]

    def _gave_up(self, reason: UdfleetError, attempts: int) -> UdfleetError:
        if isinstance(reason, (errors.NoCapacityError, errors.UnreachableError)) and not self._opened:
            return reason
        coordinator = self._directory.coordinator
        absent, hint = "no executor answered", "`udfleet status` shows the executors"
        if coordinator in self._silent:
            hint = _failures.ABSENT
            absent = f"{absent}, nor did" if self._direct else "no answer from"
            absent += f" the coordinator at {coordinator}"
        return errors.ExecutorLostError(
            f"{absent}; last: {reason.message}",
            function=reason.function or self._function,
            attempt=attempts,
            hint=reason.hint or hint,
        )

    def close(self) -> None:
        """Ends all streams: orderly where nothing is in flight, else by cancelling."""
        links, self._links = self._links, []
        for link in links:
            link.finish()
