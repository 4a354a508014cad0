"""One DoExchange stream and the batches in flight on it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.flight as flight

from .. import _failure_text, _failures, _fork, _interrupts
from .._proto.udfleet.v1 import exchange_pb2
from ..errors import UdfleetError, UnauthenticatedError
from . import codec, silence
from .pending_batch import PendingBatch

WINDOW = 8
"""Batches in flight on one stream; the server takes in as many before it answers the first."""
WINDOW_BYTES = 4 << 20
"""Below this in flight a write never blocks, so one thread can both write and read."""

_REFUSED = frozenset({"NOT_FOUND", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "PERMISSION_DENIED"})


class StreamLostError(Exception):
    """The stream is gone; what it has not answered must go elsewhere."""

    def __init__(self, reason: UdfleetError, silent: bool = False) -> None:
        """:param silent: the peer is there, and says nothing."""
        super().__init__(str(reason))
        self.reason = reason
        self.silent = silent


class ExchangeStream:
    """A stream to one peer. Not thread-safe."""

    def __init__(
        self,
        client: flight.FlightClient,
        address: str,
        descriptor: flight.FlightDescriptor,
        options: flight.FlightCallOptions,
        connected: bool = False,
        judged: bool = True,
    ) -> None:
        """:param judged: the peer says how the stream stands, so that it hangs where it says nothing."""
        self.address = address
        self.in_flight: deque[PendingBatch] = deque()
        self.answered = 0
        self._bytes = 0
        self._writable = True
        self._ended = False
        self._write_error = ""
        self._schema: pa.Schema | None = None
        _fork.holds_connection(self)
        try:
            if connected:
                self._writer, self._reader = client.do_exchange(descriptor, options)
            else:
                # It waits for the connection, two seconds if there is no answer.
                self._writer, self._reader = _interrupts.interruptible(lambda: client.do_exchange(descriptor, options))
        except (pa.ArrowException, OSError) as error:
            if _interrupts.raised_by_handler(error):
                raise
            typed = _failures.from_flight(error, address)
            raise typed if isinstance(typed, UnauthenticatedError) else StreamLostError(typed) from None
        self._patience = silence.Patience(self._reader, judged)

    def has_room(self, size: int) -> bool:
        """Whether a batch of that size may be sent without the risk of blocking."""
        count = len(self.in_flight)
        if not self._writable:
            return False
        return count == 0 or (count < WINDOW and self._bytes + size < WINDOW_BYTES)

    def send(self, item: PendingBatch) -> None:
        """Writes a batch. A failed write shows when its answer is read: errors sent before it come first."""
        item.stream = self
        self.in_flight.append(item)
        self._bytes += item.size
        self._patience.begin(item.size)
        try:
            if self._schema is None:
                self._schema = item.batch.schema
                self._writer.begin(self._schema)
            self._writer.write_with_metadata(item.batch, codec.header(item.sequence, item.attempt))
            item.written = True
        except (pa.ArrowException, OSError) as error:
            self._fail_write(error)
        finally:
            self._patience.end()

    def check(self, schema: pa.Schema) -> None:
        """Begins and ends the stream; the peer answers columns that it does not take with an error."""
        with contextlib.suppress(pa.ArrowException, OSError):
            self._writer.begin(schema)
        for result in self.finish():
            if result.HasField("error"):
                self.cancel()
                raise _failures.from_info(result.error)

    def end_input(self, item: PendingBatch) -> None:
        """Ends the input: the peer's aggregates are its answer to this last, empty batch."""
        item.stream = self
        self.in_flight.append(item)
        self._writable = False
        self._ended = True
        with contextlib.suppress(pa.ArrowException, OSError):
            self._writer.done_writing()

    def _fail_write(self, error: BaseException) -> None:
        self._writable = False
        self._write_error = f": {error}"
        with contextlib.suppress(pa.ArrowException, OSError):
            # Half-closes the stream, so that the peer does not wait for more.
            self._writer.done_writing()

    def receive(self) -> exchange_pb2.BatchResult:
        """Reads the next message: one that answers the oldest batch in flight, into its item, or one about a bundle.

        :raises StreamLostError: the peer is gone. After an in-band error it is not: it reads on until this side ends.
        :raises UdfleetError: the batch failed.
        """
        item = self.in_flight[0]
        try:
            chunk, result = self._read()
        except StopIteration:
            reason = f"{self.address} ended the stream with {len(self.in_flight)} batches unanswered{self._write_error}"
            raise StreamLostError(_failures.lost(reason)) from None
        except (pa.ArrowException, OSError) as error:
            if _interrupts.raised_by_handler(error):
                raise
            raise self._classify(error, item) from None
        if result.HasField("bundle"):
            return result
        if result.HasField("error"):
            self._writable = False
            raise _located(_failures.from_info(result.error), item)
        if result.sequence != item.sequence:
            reason = f"{self.address} answered batch {result.sequence}, expected {item.sequence}"
            raise StreamLostError(_failures.lost(reason))
        item.take(chunk.data)
        if result.last:
            item.done = True
            self.answered += 1
            self._bytes -= item.size
            self.in_flight.popleft()
        return result

    def _read(self) -> tuple[flight.FlightStreamChunk, exchange_pb2.BatchResult]:
        """The next message that is more than a sign of life."""
        try:
            while True:
                self._patience.begin()
                chunk = _interrupts.read_chunk(self._reader)
                result = codec.answer(chunk.app_metadata)
                if not result.HasField("progress"):
                    return chunk, result
        finally:
            self._patience.end()

    def _classify(self, error: BaseException, item: PendingBatch) -> Exception:
        if self._patience.silent:
            batches = len(self.in_flight)
            reason = f"{self.address} says nothing of a stream with {batches} batches for {silence.seconds():.0f} s"
            return StreamLostError(_failures.lost(reason), silent=True)
        typed = _failures.from_flight(error, self.address)
        refused = _failures.told(error) is not None or _failure_text.flight_status(error) in _REFUSED
        if refused or isinstance(typed, UnauthenticatedError):
            return _located(typed, item)
        return StreamLostError(_failures.lost(typed.message, retry_hint=typed.hint))

    def finish(self) -> Iterator[exchange_pb2.BatchResult]:
        """Ends a stream on which nothing is in flight, so that the peer sees an orderly end; what it says last."""
        if self.in_flight or not (self._writable or self._ended) or _fork.inherited():
            self.cancel()
            return
        with contextlib.suppress(pa.ArrowException, OSError, StopIteration):
            if not self._ended:
                self._writer.done_writing()
            while True:
                yield self._read()[1]
        self._close()

    def cancel(self) -> None:
        """Gives the stream up, answers and all."""
        self._writable = False
        if _fork.inherited():
            return
        with contextlib.suppress(pa.ArrowException, OSError):
            self._reader.cancel()
        self._close()

    def _close(self) -> None:
        # Left to the destructor, a failed stream is reported on stderr.
        with contextlib.suppress(pa.ArrowException, OSError):
            self._writer.close()


def _located(error: UdfleetError, item: PendingBatch) -> UdfleetError:
    if error.row is not None:
        error.row += item.offset
    return error
