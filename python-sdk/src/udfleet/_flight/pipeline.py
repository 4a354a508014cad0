"""Many batches in flight over several streams; answers in order; what is lost is sent again elsewhere."""

from __future__ import annotations

import random
import time
import uuid
from collections import deque
from collections.abc import Callable

import pyarrow as pa

from .. import _failure_text, _fork, errors
from .._proto.udfleet.v1 import exchange_pb2
from ..errors import UdfleetError
from .item import Item
from .link import Link, LinkLostError
from .target import MAX_ATTEMPTS, Target

MAX_LINKS = 16
"""Executors that one call uses at most, so that its cost does not grow with the fleet."""

OnBundle = Callable[[str, exchange_pb2.BundleProgress], None]
"""Hears what peers say of bundles, and who says it."""

_BACKOFF_SECONDS = 0.1
_LOOK_SECONDS = 0.2
"""How often a stream looks whether the answer has come to who serves its function now."""

_TRY_ELSEWHERE = (errors.NoCapacityError, errors.ExecutorLostError, errors.UnreachableError)


class Pipeline:
    """One caller's traffic with one function or plan. Not thread-safe.

    Only the oldest batch has its answer read in parts: a stream whose answers are not wanted yet is left alone, so that
    no more than one part is held here.
    """

    def __init__(
        self,
        target: Target,
        *,
        direct: bool = True,
        max_links: int = MAX_LINKS,
        gathers: bool = False,
        on_bundle: OnBundle | None = None,
    ) -> None:
        self._target = target
        self._gathers = gathers
        """What one peer has taken in is lost with it: nobody else can go on."""
        self._directory = target.directory
        self._direct = direct
        self._max_links = 1 if gathers else max_links
        self._on_bundle = on_bundle
        self._producer = uuid.uuid4().hex
        """With a batch's sequence it names the batch, whichever stream it takes."""
        self._next = 0
        self._order: deque[Item] = deque()
        self._resend: deque[Item] = deque()
        self._links: list[Link] = []
        self._failed: set[str] = set()
        self._silent: set[str] = set()
        """Peers that could not be reached, or went away, rather than refused."""
        self._rounds = 0
        self._opened = False
        self._candidates = self._find_candidates()
        self._next_look = time.monotonic() + _LOOK_SECONDS

    def _look_for_executors(self) -> None:
        """Executors that serve it since the streams were opened get streams too. Waits for nobody."""
        now = time.monotonic()
        if now < self._next_look or not self._direct or len(self._links) >= self._max_links:
            return
        self._next_look = now + _LOOK_SECONDS
        known = {link.address for link in self._links} | self._failed | set(self._candidates)
        new = [address for address in self._target.latest_executors() if address not in known]
        random.shuffle(new)
        room = self._max_links - len(self._links) - len(self._candidates)
        self._candidates += new[: max(0, room)]

    def _find_candidates(self) -> list[str]:
        """Peers to open streams to, the last first."""
        if not self._direct:
            return [self._directory.coordinator]
        executors = [a for a in self._target.executors() if a not in self._failed]
        random.shuffle(executors)
        # The coordinator forwards: good enough when nobody else can be reached.
        return executors[: self._max_links] or [self._directory.coordinator]

    def __len__(self) -> int:
        """Batches submitted whose answers have not been taken."""
        return len(self._order)

    def offer(self, item: Item) -> bool:
        """Sends a batch if there is room for it; where there is none, `receive` makes some."""
        _fork.check()
        if self._resend:
            return False
        if not (self._links or self._candidates or self._order):
            self._candidates = self._find_candidates()
        self._look_for_executors()
        link = self._pick(item.size)
        if link is None:
            return False
        self._number(item)
        link.send(item)
        return True

    def receive(self) -> tuple[pa.RecordBatch | None, bool]:
        """The next part of the answer to the oldest batch, and whether it is the last; waits for it.

        The part is None where an answer is empty of columns and rows, as those of batches that are gathered are.
        """
        _fork.check()
        item = self._order[0]
        while not item.parts and not item.done:
            self._send_again()
            # An item that waits for room gets it when any stream answers.
            self._read(item.link or next(link for link in self._links if link.in_flight))
        part = item.hand_out()
        last = item.done and not item.parts
        if last:
            self._order.popleft()
        return part, last

    def end_input(self) -> None:
        """Ends the input of a stream that gathers: its results are the answer to a last item."""
        item = Item(None, 0, 0)
        link = self._links[0] if self._links else self._open()
        if link is None:
            raise errors.ExecutorLostError("no executor answered", function=self._target.name or None)
        self._number(item)
        link.end_input(item)

    def _number(self, item: Item) -> None:
        item.sequence = self._next
        self._next += 1
        self._order.append(item)

    def check(self, schema: pa.Schema) -> None:
        """Tells a peer the columns and no batch: an error where they are not what it takes. Ends the stream."""
        link = self._open()
        if link is not None:
            self._links.remove(link)
            link.check(schema)

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
                connected = address in self._directory.connected
                descriptor = self._target.descriptor(address, self._producer)
                link = Link(client, address, descriptor, options, connected)
                self._directory.connected.add(address)
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
        item = link.in_flight[0]
        try:
            result = link.receive()
            self._opened = True
            if result.HasField("bundle"):
                self._tell(link, result)
            elif not result.last and item is not self._order[0] and self._target.deterministic():
                # It would have to be held here whole: another stream answers the older batch first. What is not
                # deterministic is held all the same: it must not run twice.
                self._take_back(link)
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
        self._failed.add(link.address)
        self._directory.connected.discard(link.address)
        self._target.forget()
        for item in link.in_flight:
            gathered = self._gathers and (link.answered or item.batch is None)
            if gathered or (item.delivered and not self._target.deterministic()):
                link.cancel()
                raise self._can_not_repeat(reason, item)
            if not reason.has_no_side_effects or item.parts:
                item.attempt += 1
            if item.attempt > 1 and item.attempt > (most := self._target.max_attempts()):
                link.cancel()
                raise self._gave_up(reason, item.attempt - 1) if most > 1 else self._runs_once(reason)
        self._withdraw(link)
        self._next_candidates(reason)

    def _take_back(self, link: Link) -> None:
        """Gives up a stream whose answers come too early; its batches go out again."""
        self._withdraw(link)
        self._candidates.append(link.address)

    def _withdraw(self, link: Link) -> None:
        link.cancel()
        self._links.remove(link)
        for item in link.in_flight:
            item.reset()
        self._resend = deque(sorted([*link.in_flight, *self._resend], key=self._position))

    def _can_not_repeat(self, reason: UdfleetError, item: Item) -> UdfleetError:
        what = "the rows that it had gathered are lost with it"
        if not self._gathers:
            what = "some of a batch's results were handed out, and running it again may give others"
        return errors.ExecutorLostError(
            f"{reason.message}; {what}", function=reason.function or self._target.name or None, hint=reason.hint
        )

    def _runs_once(self, reason: UdfleetError) -> UdfleetError:
        return errors.ExecutorLostError(
            f"{reason.message}; a batch may have run, and its function is to run once",
            function=reason.function or self._target.name or None,
            attempt=1,
            hint="what is not deterministic runs again only where udfleet.retry.max-attempts says so",
        )

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
        if self._rounds >= max(self._target.max_attempts(), MAX_ATTEMPTS):
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
            hint = _failure_text.ABSENT
            absent = f"{absent}, nor did" if self._direct else "no answer from"
            absent += f" the coordinator at {coordinator}"
        return errors.ExecutorLostError(
            f"{absent}; last: {reason.message}",
            function=reason.function or self._target.name or None,
            attempt=attempts,
            hint=reason.hint or hint,
        )

    def abandon(self) -> None:
        """Gives up all that is in flight; what is offered next goes out on new streams."""
        links, self._links = self._links, []
        for link in links:
            link.cancel()
        self._order.clear()
        self._resend.clear()
        self._failed.clear()
        self._candidates.clear()

    def close(self) -> None:
        """Ends all streams: orderly where nothing is in flight, else by cancelling."""
        links, self._links = self._links, []
        for link in links:
            for result in link.finish():
                self._tell(link, result)

    def _tell(self, link: Link, result: exchange_pb2.BatchResult) -> None:
        if self._on_bundle is not None and result.HasField("bundle"):
            self._on_bundle(link.address, result.bundle)
