"""Many batches in flight over several streams; results in order; batches of lost streams are sent to other peers."""

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
from .exchange_stream import ExchangeStream, StreamLostError
from .pending_batch import PendingBatch
from .target import MAX_ATTEMPTS, Target

MAX_STREAMS = 16
"""The most executors that one call uses, so that its cost does not grow with the fleet."""

OnBundle = Callable[[str, exchange_pb2.BundleProgress], None]
"""Called with the address of a peer and the progress of a bundle on it."""

_BACKOFF_SECONDS = 0.1
_LOOK_SECONDS = 0.2
"""How often a running stream checks whether other executors serve its function now."""

_BUSY_SECONDS = 2.0
"""An executor that has refused is asked again by a running stream after this."""
_LOST_SECONDS = 10.0
"""The same of one that was lost: by then the coordinator has noticed, or it is back."""

_TRY_ELSEWHERE = (errors.NoCapacityError, errors.ExecutorLostError, errors.UnreachableError)


def new_producer() -> str:
    """The id of someone who numbers batches."""
    return uuid.uuid4().hex


class Pipeline:
    """The batches that one caller sends to one function or plan, over several streams. Not thread-safe.

    Results come in the order of the batches. A result may come in several parts; only those of the oldest batch are
    read as they come, the other streams wait (backpressure), so that at most one part is buffered here.
    """

    def __init__(
        self,
        target: Target,
        *,
        direct: bool = True,
        max_streams: int = MAX_STREAMS,
        aggregates: bool = False,
        on_bundle: OnBundle | None = None,
        producer: str = "",
        attempt: int = 1,
    ) -> None:
        """:param producer: whose batches these are, where they go out again as a whole, and for which time they do."""
        self._target = target
        self._aggregates = aggregates
        """The peer keeps an accumulator: when it is lost, no other peer can continue."""
        self._directory = target.directory
        self._coordinators = target.directory.coordinators
        self._direct = direct
        self._max_streams = 1 if aggregates else max_streams
        self._on_bundle = on_bundle
        self._producer = producer or new_producer()
        """With a batch's sequence it names the batch, whichever stream it takes."""
        self._attempt = attempt
        self._next = 0
        self._order: deque[PendingBatch] = deque()
        self._resend: deque[PendingBatch] = deque()
        self._streams: list[ExchangeStream] = []
        self._failed: dict[str, float] = {}
        """Peers that have failed, and when they may be asked again."""
        self._silent: set[str] = set()
        """Peers that could not be reached, or went away, rather than refused."""
        self._rounds = 0
        self._opened = False
        self._candidates = self._find_candidates()
        self._next_look = time.monotonic() + _LOOK_SECONDS

    def _look_for_executors(self) -> None:
        """Adds executors as candidates that have joined meanwhile, or may be asked again. Never blocks."""
        now = time.monotonic()
        if now < self._next_look or not self._direct or len(self._streams) >= self._max_streams:
            return
        self._next_look = now + _LOOK_SECONDS
        failed = {address for address, until in self._failed.items() if now < until}
        known = {stream.address for stream in self._streams} | failed | set(self._candidates)
        latest = self._directory.answering(self._target.latest_executors())
        new = [address for address in latest if address not in known]
        random.shuffle(new)
        room = self._max_streams - len(self._streams) - len(self._candidates)
        self._candidates += new[: max(0, room)]

    def _find_candidates(self) -> list[str]:
        """Addresses to open streams to; the last one is tried first."""
        executors = self._directory.answering(self._target.executors()) if self._direct else []
        executors = [address for address in executors if address not in self._failed]
        random.shuffle(executors)
        # A coordinator forwards: good enough when no executor can be reached.
        return executors[: self._max_streams] or [self._coordinators.preferred]

    def __len__(self) -> int:
        """Batches submitted whose answers have not been taken."""
        return len(self._order)

    def offer(self, item: PendingBatch) -> bool:
        """Sends a batch if there is room for it; where there is none, `receive` makes some."""
        _fork.check()
        if self._resend:
            return False
        if not (self._streams or self._candidates or self._order):
            self._candidates = self._find_candidates()
        self._look_for_executors()
        stream = self._pick(item.size)
        if stream is None:
            return False
        self._number(item)
        stream.send(item)
        return True

    def receive(self) -> tuple[pa.RecordBatch | None, bool]:
        """The next part of the oldest batch's result, and whether it is the last; blocks until it is there.

        The part is None where a result has neither columns nor rows, as for batches that an aggregate takes in.
        """
        _fork.check()
        item = self._order[0]
        while not item.parts and not item.done:
            self._send_again()
            # An item that waits for room gets it when any stream answers.
            self._read(item.stream or next(stream for stream in self._streams if stream.in_flight))
        part = item.hand_out()
        last = item.done and not item.parts
        if last:
            self._order.popleft()
        return part, last

    def end_input(self) -> None:
        """Ends the input of a stream that aggregates: its results are the answer to a last item."""
        item = PendingBatch(None, 0, 0)
        stream = self._streams[0] if self._streams else self._open()
        if stream is None:
            raise errors.ExecutorLostError("no executor answered", function=self._target.name or None)
        self._number(item)
        stream.end_input(item)

    def _number(self, item: PendingBatch) -> None:
        item.sequence = self._next
        item.attempt = self._attempt
        self._next += 1
        self._order.append(item)

    def check(self, schema: pa.Schema) -> None:
        """Tells a peer the columns and no batch: an error where they are not what it takes. Ends the stream."""
        stream = self._open()
        if stream is not None:
            self._streams.remove(stream)
            stream.check(schema)

    def _pick(self, size: int) -> ExchangeStream | None:
        """The stream with the least in flight; a new one before a second batch goes onto any."""
        best: ExchangeStream | None = None
        for stream in self._streams:
            if (best is None or len(stream.in_flight) < len(best.in_flight)) and stream.has_room(size):
                best = stream
        if self._candidates and (best is None or best.in_flight):
            return self._open() or best
        return best

    def _open(self) -> ExchangeStream | None:
        while self._candidates:
            address = self._candidates.pop()
            try:
                client, options = self._directory.client(address), self._directory.call_options(address)
                connected = address in self._directory.connected
                descriptor = self._target.descriptor(address, self._producer)
                judged = self._directory.reports_progress(address)
                stream = ExchangeStream(client, address, descriptor, options, connected, judged)
                self._directory.connected.add(address)
            except StreamLostError as lost:
                self._failed[address] = time.monotonic() + _LOST_SECONDS
                self._silent.add(address)
                self._coordinators.failed(address)
                self._next_candidates(lost.reason)
                continue
            self._streams.append(stream)
            return stream
        return None

    def _send_again(self) -> None:
        while self._resend and (stream := self._pick(self._resend[0].size)) is not None:
            stream.send(self._resend.popleft())

    def _read(self, stream: ExchangeStream) -> None:
        item = stream.in_flight[0]
        try:
            result = stream.receive()
            self._opened = True
            if result.HasField("bundle"):
                self._tell(stream, result)
            elif not result.last and item is not self._order[0] and self._target.deterministic():
                # It would have to be held here whole: another stream answers the older batch first. What is not
                # deterministic is held all the same: it must not run twice.
                self._take_back(stream)
        except StreamLostError as lost:
            self._silent.add(stream.address)
            self._coordinators.failed(stream.address)
            if lost.silent:
                self._directory.note_hanging(stream.address)
            self._lose(stream, lost.reason)
        except _TRY_ELSEWHERE as refused:
            self._lose(stream, refused)
        except errors.FunctionNotFoundError as unknown:
            # An executor that was assigned elsewhere meanwhile; the coordinator knows better.
            if stream.address in self._coordinators.known:
                raise
            self._lose(stream, unknown)

    def _lose(self, stream: ExchangeStream, reason: UdfleetError) -> None:
        """Drops a stream that failed and queues its unanswered batches to be sent again."""
        seconds = _BUSY_SECONDS if reason.has_no_side_effects else _LOST_SECONDS
        self._failed[stream.address] = time.monotonic() + seconds
        self._directory.connected.discard(stream.address)
        self._target.forget()
        for item in stream.in_flight:
            accumulated = self._aggregates and (stream.answered or item.batch is None)
            if accumulated or (item.delivered and not self._target.deterministic()):
                stream.cancel()
                raise self._can_not_repeat(reason, item)
            if item.written and (not reason.has_no_side_effects or item.parts):
                item.attempt += 1
            tries = item.attempt - self._attempt
            if tries and tries >= (most := self._target.max_attempts()):
                stream.cancel()
                raise self._gave_up(reason, item.attempt - 1) if most > 1 else self._runs_once(reason)
        self._withdraw(stream)
        self._next_candidates(reason)

    def _take_back(self, stream: ExchangeStream) -> None:
        """Gives up a stream whose answers come too early; its batches go out again."""
        self._withdraw(stream)
        self._candidates.append(stream.address)

    def _withdraw(self, stream: ExchangeStream) -> None:
        stream.cancel()
        self._streams.remove(stream)
        for item in stream.in_flight:
            item.reset()
        self._resend = deque(sorted([*stream.in_flight, *self._resend], key=self._position))

    def _can_not_repeat(self, reason: UdfleetError, item: PendingBatch) -> UdfleetError:
        what = "the rows that it had aggregated are lost with it"
        if not self._aggregates:
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

    def _position(self, item: PendingBatch) -> int:
        return self._order.index(item)

    def _next_candidates(self, reason: UdfleetError) -> None:
        """When no stream and no candidate is left: the coordinators, then all executors again after a backoff."""
        if self._streams or self._candidates:
            return
        untried = self._coordinators.untried(self._failed)
        if untried is not None:
            self._candidates = [untried]
            return
        self._rounds += 1
        if self._rounds >= max(self._target.max_attempts(), MAX_ATTEMPTS):
            raise self._gave_up(reason, self._rounds)
        time.sleep(_BACKOFF_SECONDS * 4 ** (self._rounds - 1))
        self._failed.clear()
        try:
            self._candidates = self._find_candidates()
        except errors.UnreachableError:
            self._candidates = [self._coordinators.preferred]

    def _gave_up(self, reason: UdfleetError, attempts: int) -> UdfleetError:
        if isinstance(reason, (errors.NoCapacityError, errors.UnreachableError)) and not self._opened:
            return reason
        absent, hint = "no executor answered", "`udfleet status` shows the executors"
        coordinators = self._coordinators.known
        if self._silent.issuperset(coordinators):
            hint = _failure_text.ABSENT
            absent = f"{absent}, nor did" if self._direct else "no answer from"
            absent += f" the coordinator at {' or '.join(coordinators)}"
        return errors.ExecutorLostError(
            f"{absent}; last: {reason.message}",
            function=reason.function or self._target.name or None,
            attempt=attempts,
            hint=reason.hint or hint,
        )

    def abandon(self) -> None:
        """Gives up all that is in flight; what is offered next goes out on new streams."""
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.cancel()
        self._order.clear()
        self._resend.clear()
        self._failed.clear()
        self._candidates.clear()

    def close(self) -> None:
        """Ends all streams: orderly where nothing is in flight, else by cancelling."""
        streams, self._streams = self._streams, []
        for stream in streams:
            for result in stream.finish():
                self._tell(stream, result)

    def _tell(self, stream: ExchangeStream, result: exchange_pb2.BatchResult) -> None:
        if self._on_bundle is not None and result.HasField("bundle"):
            self._on_bundle(stream.address, result.bundle)
