"""An open stream to one scalar function, for calls where each microsecond counts."""

from __future__ import annotations

import pyarrow as pa

from .._flight.pending_batch import PendingBatch
from .._flight.pipeline import Pipeline
from .._flight.results import JoinedResults
from ..errors import InvalidInputError, LimitExceededError


class Exchange:
    """Calls over one open stream: no set-up per call. Not thread-safe; open one per thread.

    The function's newest version at the time of opening serves all its calls.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, batch: pa.RecordBatch) -> pa.Array:
        """One batch in, its results out."""
        self.send(batch)
        return self.receive()

    def send(self, batch: pa.RecordBatch) -> None:
        """Sends a batch without waiting for its results.

        :raises LimitExceededError: the window is full: `receive` first.
        """
        if not isinstance(batch, pa.RecordBatch):
            raise InvalidInputError(
                f"an exchange takes RecordBatches, not {type(batch).__name__}",
                hint="pyarrow.record_batch({...}) makes one; fleet.call() takes lists and single values",
            )
        if not self._pipeline.offer(PendingBatch(batch, batch.nbytes, 0)):
            raise LimitExceededError("as much is in flight as the stream takes", hint="receive() first")

    def receive(self) -> pa.Array:
        """The results of the oldest batch whose results were not received yet.

        When this raises, all that was sent and not received is given up; what is sent next goes over a new stream.
        """
        if not len(self._pipeline):
            raise InvalidInputError("nothing was sent that could be received", hint="send() first")
        joined = JoinedResults()
        joined.expect([0])
        try:
            while True:
                answer = joined.add(*self._pipeline.receive())
                if answer is not None:
                    return answer.column(0)
        except BaseException:
            self._pipeline.abandon()
            raise

    def close(self) -> None:
        """Ends the stream."""
        self._pipeline.close()
