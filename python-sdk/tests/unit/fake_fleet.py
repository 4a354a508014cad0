"""In-process Flight servers that speak the CMD contract, for tests of the data plane without a cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

from udfleet._flight.codec import EXCHANGE_PREFIX
from udfleet._proto.udfleet.v1 import error_pb2, exchange_pb2

INPUTS = [pa.field("a", pa.int64()), pa.field("b", pa.int64())]
RESULT = pa.field("result", pa.int64())


def add(batch: pa.RecordBatch) -> pa.Array:
    return pc.add(batch.column(0), batch.column(1))


class FakePeer(flight.FlightServerBase):
    """An executor (or a coordinator: give it endpoints) that runs `function`."""

    def __init__(self, function: Callable[[pa.RecordBatch], pa.Array] = add) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.function = function
        self.endpoints: list[str] = []
        self.ticket = b"add"
        self.reports_progress = True
        """What a coordinator says of its endpoints."""
        self.asked = 0
        self.requests: list[exchange_pb2.ExchangeRequest] = []
        self.headers: list[exchange_pb2.BatchHeader] = []
        self.rows: list[int] = []
        self.die_after: int | None = None
        self.refuse: error_pb2.ErrorInfo | None = None
        self.cancelled = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get_flight_info(self, context, descriptor):
        if descriptor.path != [b"add"]:
            raise _status(error_pb2.FUNCTION_NOT_FOUND, "no function", "did you mean 'add'?")
        self.asked += 1
        told = exchange_pb2.EndpointCapabilities(reports_progress=self.reports_progress).SerializeToString()
        endpoints = [
            flight.FlightEndpoint(self.ticket, [f"grpc+tcp://{address}"], app_metadata=told)
            for address in self.endpoints
        ]
        return flight.FlightInfo(pa.schema([*INPUTS, RESULT]), descriptor, endpoints, len(INPUTS), -1)

    def do_exchange(self, context, descriptor, reader, writer):
        assert descriptor.command.startswith(EXCHANGE_PREFIX)
        self.requests.append(exchange_pb2.ExchangeRequest.FromString(descriptor.command[len(EXCHANGE_PREFIX) :]))
        if self.refuse is not None:
            raise flight.FlightServerError(self.refuse.message, self.refuse.SerializeToString())
        writer.begin(pa.schema([RESULT]))
        for answered, chunk in enumerate(reader):
            if self.die_after is not None and answered >= self.die_after:
                raise flight.FlightUnavailableError("the peer went away")
            header = exchange_pb2.BatchHeader.FromString(chunk.app_metadata.to_pybytes())
            self.headers.append(header)
            self.rows.append(chunk.data.num_rows)
            try:
                result = self.function(chunk.data)
            except ValueError as error:
                self._fail(writer, header, str(error))
                # As the fleet does: a client that still writes reads this answer before the stream ends.
                for _ in reader:
                    pass
                return
            out = pa.RecordBatch.from_arrays([result], schema=pa.schema([RESULT]))
            message = exchange_pb2.BatchResult(sequence=header.sequence, last=True, rows=len(result))
            message.timing.run = 1
            writer.write_with_metadata(out, message.SerializeToString())

    def _fail(self, writer, header, message):
        answer = exchange_pb2.BatchResult(sequence=header.sequence, last=True)
        answer.error.code = error_pb2.USER_CODE
        answer.error.message = message
        answer.error.function = "add@1"
        answer.error.row = 2
        answer.error.exception.type = "ValueError"
        answer.error.exception.message = message
        answer.error.exception.frames.add(file="f.py", line=3, function="add", source="raise ValueError")
        writer.write_metadata(answer.SerializeToString())


def _status(code: int, message: str, hint: str) -> flight.FlightError:
    info = error_pb2.ErrorInfo(code=code, message=message, hint=hint)
    return flight.FlightServerError(message, info.SerializeToString())
