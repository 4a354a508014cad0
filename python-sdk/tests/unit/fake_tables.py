"""In-process peers that answer in parts and aggregate, as the fleet does for table and aggregate functions and for plans."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.flight as flight

from udfleet._flight.codec import EXCHANGE_PREFIX
from udfleet._proto.udfleet.v1 import error_pb2, exchange_pb2, stage_pb2

INPUTS = pa.schema([pa.field("n", pa.int64())])
TABLE = pa.schema([pa.field("row", pa.int32(), False), pa.field("result", pa.int64())])
SUM = pa.schema([pa.field("result", pa.int64())])
PART_ROWS = 1000


class TablePeer(flight.FlightServerBase):
    """`repeat(n)` gives the numbers below n; `sum(n)` aggregates. With endpoints it is a coordinator."""

    def __init__(self, kinds: dict[str, str] | None = None) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.endpoints: list[str] = []
        self.kinds = kinds or {"repeat": "TABLE", "sum": "AGGREGATE"}
        self.deterministic = True
        self.requests: list[exchange_pb2.ExchangeRequest] = []
        self.headers: list[exchange_pb2.BatchHeader] = []
        self.parts_sent = 0
        self.batches_taken = 0
        self.die_after_parts: int | None = None
        self.deaths = 1
        self.crash_at_end = 0
        self.bundle_batches = 0
        self.refuse: error_pb2.ErrorInfo | None = None
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get_flight_info(self, context, descriptor):
        if descriptor.descriptor_type == flight.DescriptorType.CMD:
            request = exchange_pb2.ExchangeRequest.FromString(descriptor.command[len(EXCHANGE_PREFIX) :])
            stage = stage_pb2.Stage(functions=["repeat@1"])
            ticket = exchange_pb2.ExchangeRequest(stage=stage, job=request.job, on_error=request.on_error)
            endpoints = [
                flight.FlightEndpoint(ticket.SerializeToString(), [f"grpc+tcp://{address}"])
                for address in self.endpoints
            ]
            return flight.FlightInfo(TABLE, descriptor, endpoints, -1, -1)
        kind = self.kinds[descriptor.path[0].decode()]
        fields = [*INPUTS, *(TABLE if kind == "TABLE" else SUM)]
        schema = pa.schema(fields, {"x-udfleet-kind": kind})
        endpoints = [flight.FlightEndpoint(b"", [f"grpc+tcp://{address}"]) for address in self.endpoints]
        return flight.FlightInfo(schema, descriptor, endpoints, len(INPUTS), -1)

    def do_exchange(self, context, descriptor, reader, writer):
        request = exchange_pb2.ExchangeRequest.FromString(descriptor.command[len(EXCHANGE_PREFIX) :])
        self.requests.append(request)
        if self.refuse is not None:
            raise flight.FlightServerError(self.refuse.message, self.refuse.SerializeToString())
        if request.function == "sum" or any(step.HasField("aggregate") for step in request.plan.operators):
            return self.aggregate(reader, writer)
        writer.begin(TABLE)
        bundle = exchange_pb2.BundleProgress()
        for chunk in reader:
            with self.lock:
                self.batches_taken += 1
            header = exchange_pb2.BatchHeader.FromString(chunk.app_metadata.to_pybytes())
            parts = list(_parts(chunk.data.column(0).to_pylist()))
            for index, part in enumerate(parts):
                with self.lock:
                    if self.die_after_parts is not None and self.parts_sent >= self.die_after_parts and self.deaths:
                        self.deaths -= 1
                        raise flight.FlightUnavailableError("the peer went away")
                    self.parts_sent += 1
                result = exchange_pb2.BatchResult(
                    sequence=header.sequence, last=index == len(parts) - 1, rows=part.num_rows
                )
                result.timing.run = 10
                writer.write_with_metadata(part, result.SerializeToString())
                bundle.rows_out += part.num_rows
            bundle.batches += 1
            bundle = self.tell(writer, bundle, bundle.batches == self.bundle_batches)
        if bundle.batches:
            self.tell(writer, bundle, completed=True)

    def tell(self, writer, bundle, completed):
        if not self.bundle_batches:
            return bundle
        bundle.completed = completed
        if completed:
            bundle.metrics.add(function="repeat@1").metrics.add(name="c", kind=1, count=7)
        writer.write_metadata(exchange_pb2.BatchResult(bundle=bundle).SerializeToString())
        return exchange_pb2.BundleProgress(bundle=bundle.bundle + 1) if completed else bundle

    def aggregate(self, reader, writer):
        writer.begin(SUM)
        total, count = 0, 0
        for chunk in reader:
            self.headers.append(exchange_pb2.BatchHeader.FromString(chunk.app_metadata.to_pybytes()))
            total += sum(chunk.data.column(0).to_pylist())
            count += 1
            writer.write_metadata(exchange_pb2.BatchResult(sequence=count - 1, last=True).SerializeToString())
        result = exchange_pb2.BatchResult(sequence=count, last=True, rows=1)
        if self.crash_at_end:
            self.crash_at_end -= 1
            result.error.code = error_pb2.INTERPRETER_CRASHED
            result.error.message = "the interpreter died"
            writer.write_metadata(result.SerializeToString())
            return
        batch = pa.RecordBatch.from_arrays([pa.array([total], pa.int64())], schema=SUM)
        writer.write_with_metadata(batch, result.SerializeToString())


def _parts(numbers: list[int]) -> Iterator[pa.RecordBatch]:
    rows = [(row, value) for row, count in enumerate(numbers) for value in range(count)]
    for start in range(0, max(len(rows), 1), PART_ROWS):
        part = rows[start : start + PART_ROWS]
        arrays = [pa.array([row for row, _ in part], pa.int32()), pa.array([value for _, value in part], pa.int64())]
        yield pa.RecordBatch.from_arrays(arrays, schema=TABLE)
