"""A stream through a function with keyed state: bundles of rows out, results in, one commit for each."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ._failures import from_grpc, from_info
from ._grpc import grpc
from ._proto.udfleet.v1 import keyed_pb2
from .errors import InternalError, InvalidInputError

if TYPE_CHECKING:
    from types import TracebackType

    from ._rpc import Rpc

BUNDLE_BYTES = 8 << 20
"""The most bytes of a bundle, but for one of a single row."""

Batches = Callable[[int], Iterator[pa.RecordBatch]]
"""Batches of key columns and arguments from a row on."""


class Bundle:
    """Results of consecutive rows, computed and not committed yet."""

    def __init__(self, stream: KeyedStream, first_row: int, rows: int, results: list[pa.RecordBatch]) -> None:
        self._stream = stream
        self._results = results
        self.first_row = first_row
        """The offset of its first row in the stream."""
        self.rows = rows
        """How many rows it has."""
        self.is_committed = False
        self.is_retained = False
        """It was committed by a client before, which may have died before it wrote these results."""

    def to_arrow(self) -> pa.Table:
        """Its results, in the order of the rows that gave them."""
        return pa.Table.from_batches(self._results, self._stream.schema)

    def to_pylist(self) -> list[dict[str, Any]]:
        """Its results as dicts."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows

    def commit(self) -> None:
        """Its rows are applied for good when this returns. Once is enough; more do nothing."""
        if not self.is_committed:
            self._stream._commit(self)


class KeyedStream:
    """An open stream: a context manager, and an iterator over bundles. One process has it at a time.

    Rows that were applied before are read from the table and left out.
    """

    def __init__(
        self,
        rpc: Rpc,
        opening: keyed_pb2.OpenStream,
        batches: Batches,
        commits_itself: bool,
    ) -> None:
        self._batches = batches
        self._commits_itself = commits_itself
        self._requests: queue.SimpleQueue[keyed_pb2.StreamRequest | None] = queue.SimpleQueue()
        self._pending: Bundle | None = None
        self._closed = False
        self._coordinators = rpc.coordinators
        self._address, self._answers = rpc.open_stream(iter(self._requests.get, None))
        self._requests.put(keyed_pb2.StreamRequest(open=opening))
        try:
            opened = self._answer("opened").opened
        except BaseException:
            self.close()
            raise
        self.function: str = opened.function
        """The version that runs, `name@version`."""
        self.position: int = opened.position
        """How many rows from the table's beginning are applied."""
        self._bundle_rows = max(1, opened.bundle_rows)
        self._bundle_seconds = opened.bundle_ms / 1000
        self.schema: pa.Schema = schema_of(opened.schema)
        self._retained = self._retained_bundle(opened.retained_first) if opened.HasField("retained_first") else None

    def __enter__(self) -> KeyedStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Bundle]:
        """Bundles; each has to be committed before the next, which the loop does unless commits are manual.

        With `retain_results` the first one is that which was committed last.
        """
        if self._retained is not None:
            retained, self._retained = self._retained, None
            yield retained
        for batch in self._cut(self._batches(self.position)):
            bundle = self._submit(batch)
            yield bundle
            if self._commits_itself:
                bundle.commit()
            elif not bundle.is_committed:
                raise InvalidInputError(
                    "the next bundle was asked for before the one before was committed",
                    hint="call bundle.commit(), or open the stream with commit='auto'",
                )

    def close(self) -> None:
        """Ends the stream. A bundle that is not committed is not applied."""
        if not self._closed:
            self._closed = True
            self._requests.put(None)
            self._answers.cancel()

    def _cut(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Bundles of at most so many rows, bytes and seconds; time is looked at when a batch comes."""
        held: list[pa.RecordBatch] = []
        rows, size, since = 0, 0, 0.0
        for batch in batches:
            for piece in _pieces(batch, self._bundle_rows):
                if held and (rows + piece.num_rows > self._bundle_rows or size + piece.nbytes > BUNDLE_BYTES):
                    yield pa.concat_batches(held)
                    held, rows, size = [], 0, 0
                since = since if held else time.monotonic()
                held.append(piece)
                rows, size = rows + piece.num_rows, size + piece.nbytes
            if held and time.monotonic() - since >= self._bundle_seconds:
                yield pa.concat_batches(held)
                held, rows, size = [], 0, 0
        if held:
            yield pa.concat_batches(held)

    def _retained_bundle(self, first_row: int) -> Bundle:
        bundle = Bundle(self, first_row, self.position - first_row, self._results())
        bundle.is_committed = bundle.is_retained = True
        return bundle

    def _submit(self, batch: pa.RecordBatch) -> Bundle:
        self._check_open()
        message = pa.ipc.read_message(batch.serialize())
        submit = keyed_pb2.SubmitBundle(
            first_row=self.position, header=message.metadata.to_pybytes(), body=message.body.to_pybytes()
        )
        self._requests.put(keyed_pb2.StreamRequest(submit=submit))
        self._pending = Bundle(self, self.position, batch.num_rows, self._results())
        return self._pending

    def _results(self) -> list[pa.RecordBatch]:
        results = []
        is_last = False
        while not is_last:
            part = self._answer("delivered").delivered
            results.append(pa.ipc.read_record_batch(pa.py_buffer(_framed(part.header, part.body)), self.schema))
            is_last = part.last
        return results

    def _commit(self, bundle: Bundle) -> None:
        self._check_open()
        if bundle is not self._pending:
            raise InvalidInputError("this bundle is not the one that the stream has delivered last")
        self._requests.put(keyed_pb2.StreamRequest(commit=keyed_pb2.CommitBundle()))
        self.position = self._answer("committed").committed.position
        bundle.is_committed = True
        self._pending = None

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidInputError("the stream is closed", hint="open it again: it goes on where it was")

    def _answer(self, kind: str) -> keyed_pb2.StreamResponse:
        try:
            answer: keyed_pb2.StreamResponse = next(self._answers)
        except grpc.RpcError as error:
            self.close()
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                # Whoever opens the stream again is to ask another one.
                self._coordinators.failed(self._address)
            raise from_grpc(error, self._address) from None
        except StopIteration:
            self.close()
            raise InternalError("the coordinator has ended the stream without a reason") from None
        if answer.WhichOneof("kind") == "failed":
            self.close()
            raise from_info(answer.failed)
        if answer.WhichOneof("kind") != kind:
            self.close()
            raise InternalError(f"the coordinator has answered {answer.WhichOneof('kind')}, and not {kind}")
        return answer


def schema_of(message: bytes) -> pa.Schema:
    """The schema of an IPC message."""
    return pa.ipc.read_schema(pa.py_buffer(_framed(message, b"")))


def _pieces(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    """A batch in pieces of at most so many rows, and no more bytes than a bundle may have."""
    left = [batch.slice(start, rows) for start in range(0, batch.num_rows, rows)][::-1]
    while left:
        piece = left.pop()
        half = piece.num_rows // 2
        if half and piece.nbytes > BUNDLE_BYTES:
            left += [piece.slice(half), piece.slice(0, half)]
        else:
            yield piece


def _framed(header: bytes, body: bytes) -> bytes:
    """A message as a stream of Arrow has it: behind its length, and padded."""
    padding = -len(header) % 8
    return b"\xff\xff\xff\xff" + (len(header) + padding).to_bytes(4, "little") + header + bytes(padding) + body
