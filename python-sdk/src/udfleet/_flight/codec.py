"""udfleet's bytes within Flight: the CMD descriptor and the app_metadata of batches."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.flight as flight

from .._failures import from_info
from .._proto.udfleet.v1 import exchange_pb2
from ..errors import UdfleetError

EXCHANGE_PREFIX = b"udfleet.v1.ExchangeRequest\0"

_Result = exchange_pb2.BatchResult


def descriptor(function: str, job: str) -> flight.FlightDescriptor:
    """Asks for a numbered exchange with a function."""
    request = exchange_pb2.ExchangeRequest(function=function, job=job)
    return flight.FlightDescriptor.for_command(EXCHANGE_PREFIX + request.SerializeToString())


def _encode_header(sequence: int, attempt: int) -> pa.Buffer:
    return pa.py_buffer(exchange_pb2.BatchHeader(sequence=sequence, attempt=attempt).SerializeToString())


# Headers of the batches of most streams; encoding one takes longer than looking it up.
_FIRST = [_encode_header(sequence, 1) for sequence in range(256)]


def header(sequence: int, attempt: int) -> pa.Buffer:
    """The app_metadata of a batch; attempts count from 1."""
    if attempt == 1 and sequence < len(_FIRST):
        return _FIRST[sequence]
    return _encode_header(sequence, attempt)


def answer_error(metadata: pa.Buffer | None) -> tuple[int, UdfleetError | None]:
    """Sequence and in-band error of an answer's app_metadata."""
    if metadata is None:
        return 0, None
    result = _Result.FromString(metadata.to_pybytes())
    return result.sequence, from_info(result.error) if result.HasField("error") else None
