"""One stream of plain Arrow Flight, which is used for a while."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pyarrow as pa
from pyarrow import flight

from .. import _fork, _interrupts
from .._flight import silence

PROGRESS_HEADER = "x-udfleet-progress-ms"
STREAM_SECONDS = 5.0
"""How long a stream is used. The next one goes to whoever serves by then, and a draining executor, which waits for its
streams, gets rid of them."""


class SilentPeerError(flight.FlightUnavailableError):  # type: ignore[misc]
    """The peer of a stream hangs: it did not even say that it is at work."""


def progress_header() -> tuple[bytes, bytes]:
    """Has the peer of a stream say how it stands."""
    return PROGRESS_HEADER.encode(), str(int(silence.LOOK_SECONDS * 1000)).encode()


class Stream:
    """One DoExchange, kept for many batches of one schema."""

    def __init__(
        self,
        client: flight.FlightClient,
        descriptor: flight.FlightDescriptor,
        options: flight.FlightCallOptions,
        schema: pa.Schema,
        address: str,
        coordinator: str | None = None,
    ) -> None:
        """
        :param address: whose the client is.
        :param coordinator: the same, where the stream goes through one.
        """
        self.client = client
        self.address = address
        self.coordinator = coordinator
        self.over = False
        self.timer: threading.Timer | None = None
        _fork.holds_connection(self)
        self.writer, self.reader = client.do_exchange(descriptor, options)
        self._patience = silence.Patience(self.reader)
        self.writer.begin(schema)

    def begin_time(self, expire: Callable[[Stream], None]) -> None:
        """From now on it is used for a while; `expire` hears when that is over."""
        self.timer = threading.Timer(STREAM_SECONDS, expire, [self])
        self.timer.daemon = True
        self.timer.start()

    def call(self, batch: pa.RecordBatch) -> pa.Array | pa.ChunkedArray:
        """:raises FlightUnavailableError: the stream is lost, or its peer has said nothing for too long."""
        self._patience.begin(batch.nbytes)
        try:
            self.writer.write_batch(batch)
            # Without a batch it is a sign of life.
            while (data := _interrupts.read_chunk(self.reader).data) is None:
                self._patience.begin()
        except pa.ArrowException:
            if not self._patience.silent:
                raise
            reason = f"{self.address} says nothing of a stream with a batch for {silence.seconds():.0f} s"
            raise SilentPeerError(reason) from None
        finally:
            self._patience.end()
        answer = data.column(0)
        if len(answer) != batch.num_rows:
            raise ValueError(f"{len(answer)} values came for {batch.num_rows} rows: the function leaves rows out")
        return answer

    def close(self) -> None:
        """Every batch has its answer: what happens to the stream now does not matter."""
        self._stop()
        with contextlib.suppress(pa.ArrowException):
            self.writer.done_writing()
            self.writer.close()
        self.client.close()

    def abandon(self) -> None:
        """Lets go of a stream that has failed."""
        self._stop()
        self.reader.cancel()
        # Its destructor would print the failure.
        with contextlib.suppress(pa.ArrowException):
            self.writer.close()
        self.client.close()

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
