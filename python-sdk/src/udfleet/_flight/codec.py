"""udfleet's bytes within Flight: the CMD descriptor and the app_metadata of batches."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.flight as flight

from .._proto.udfleet.v1 import exchange_pb2
from . import silence

EXCHANGE_PREFIX = b"udfleet.v1.ExchangeRequest\0"

BatchResult = exchange_pb2.BatchResult

_NO_RESULT = BatchResult(last=True)


def descriptor(request: bytes, producer: str = "") -> flight.FlightDescriptor:
    """Asks for a numbered exchange that says how it stands: an encoded request, or the ticket that holds one.

    :param producer: who numbers the batches.
    """
    prefix = b"" if request.startswith(EXCHANGE_PREFIX) else EXCHANGE_PREFIX
    # Messages that follow each other are merged when they are read.
    period = int(silence.LOOK_SECONDS * 1000)
    named = exchange_pb2.ExchangeRequest(producer=producer, progress_every_ms=period).SerializeToString()
    return flight.FlightDescriptor.for_command(prefix + request + named)


def _encode_header(sequence: int, attempt: int) -> pa.Buffer:
    return pa.py_buffer(exchange_pb2.BatchHeader(sequence=sequence, attempt=attempt).SerializeToString())


# Headers of the batches of most streams; encoding one takes longer than looking it up.
_FIRST = [_encode_header(sequence, 1) for sequence in range(256)]


def header(sequence: int, attempt: int) -> pa.Buffer:
    """The app_metadata of a batch; attempts count from 1."""
    if attempt == 1 and sequence < len(_FIRST):
        return _FIRST[sequence]
    return _encode_header(sequence, attempt)


def answer(metadata: pa.Buffer | None) -> exchange_pb2.BatchResult:
    """What an answer's app_metadata says."""
    return _NO_RESULT if metadata is None else BatchResult.FromString(metadata.to_pybytes())
