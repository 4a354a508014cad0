"""Arrow Flight message by message, over gRPC alone: every framing that clients of remote functions use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from pyarrow import flight

_SERVICE = "/arrow.flight.protocol.FlightService/"
_BYTES, _INT32, _STRING, _MESSAGE = 12, 5, 9, 11


def _messages() -> Any:
    """The few messages of Flight.proto that calls are made of."""
    made = descriptor_pb2.FileDescriptorProto(
        name="flight_wire.proto", package="arrow.flight.protocol", syntax="proto3"
    )

    def message(name: str, *fields: tuple[Any, ...]) -> None:
        added = made.message_type.add(name=name)
        for title, number, kind, *more in fields:
            one = added.field.add(name=title, number=number, type=kind, label=1)
            if "repeated" in more:
                one.label = 3
            elif more:
                one.type_name = f".arrow.flight.protocol.{more[0]}"

    message("FlightDescriptor", ("type", 1, _INT32), ("cmd", 2, _BYTES), ("path", 3, _STRING, "repeated"))
    message(
        "FlightData",
        ("flight_descriptor", 1, _MESSAGE, "FlightDescriptor"),
        ("data_header", 2, _BYTES),
        ("app_metadata", 3, _BYTES),
        ("data_body", 1000, _BYTES),
    )
    message("Action", ("type", 1, _STRING), ("body", 2, _BYTES))
    message("ActionType", ("type", 1, _STRING), ("description", 2, _STRING))
    message("Result", ("body", 1, _BYTES))
    message("Criteria", ("expression", 1, _BYTES))
    message("Empty")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(made)
    return message_factory.GetMessageClassesForFiles(["flight_wire.proto"], pool)


_CLASSES = {name.rpartition(".")[2]: kind for name, kind in _messages().items()}
FlightData, FlightDescriptor = _CLASSES["FlightData"], _CLASSES["FlightDescriptor"]


def _ipc(serialized: pa.Buffer) -> Any:
    message = pa.ipc.read_message(serialized)
    body = message.body.to_pybytes() if message.body is not None else b""
    return FlightData(data_header=message.metadata.to_pybytes(), data_body=body)


def messages_of(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> list[Any]:
    """The schema's message, then one for each batch."""
    return [_ipc(schema.serialize()), *(_ipc(batch.serialize()) for batch in batches)]


# What a client makes of the messages of one call.
Framing = Callable[[Any, list[Any]], list[Any]]


def on_every_message(descriptor: Any, messages: list[Any]) -> list[Any]:
    """As arrow-udf-runtime does."""
    for message in messages:
        message.flight_descriptor.CopyFrom(descriptor)
    return messages


def on_the_first(descriptor: Any, messages: list[Any]) -> list[Any]:
    """As Databend does."""
    messages[0].flight_descriptor.CopyFrom(descriptor)
    return messages


def alone_and_on_the_schema(descriptor: Any, messages: list[Any]) -> list[Any]:
    """As pyarrow does."""
    return [FlightData(flight_descriptor=descriptor), *on_the_first(descriptor, messages)]


def alone(descriptor: Any, messages: list[Any]) -> list[Any]:
    """A message with nothing but the descriptor, and none elsewhere."""
    return [FlightData(flight_descriptor=descriptor), *messages]


def with_metadata_between(descriptor: Any, messages: list[Any]) -> list[Any]:
    """Messages with nothing but metadata, and metadata on batches."""
    first, *batches = on_the_first(descriptor, messages)
    between = [FlightData(app_metadata=b"the client's own")]
    for number, batch in enumerate(batches):
        batch.app_metadata = f"batch {number}".encode()
    return [first, *between, *(message for batch in batches for message in (batch, *between))]


def encapsulated(descriptor: Any, messages: list[Any]) -> list[Any]:
    """Headers with the prefix that IPC streams have."""
    for message in messages:
        message.data_header = b"\xff\xff\xff\xff" + len(message.data_header).to_bytes(4, "little") + message.data_header
    return on_the_first(descriptor, messages)


FRAMINGS: tuple[Framing, ...] = (
    on_every_message,
    on_the_first,
    alone_and_on_the_schema,
    alone,
    with_metadata_between,
    encapsulated,
)


def frames(
    name: str, *batches: pa.RecordBatch, framing: Framing = on_every_message, schema: pa.Schema | None = None
) -> list[Any]:
    """The messages of a call; without batches the schema has to be given."""
    sent = messages_of(batches[0].schema if schema is None else schema, batches)
    return framing(FlightDescriptor(type=1, path=[name]), sent)


@dataclass
class WireResult:
    """What came back of one call."""

    schemas: list[pa.Schema] = field(default_factory=list)
    batches: list[pa.RecordBatch] = field(default_factory=list)
    code: Any = grpc.StatusCode.OK
    details: str = ""

    @property
    def schema(self) -> pa.Schema:
        """The only one."""
        assert self.code is grpc.StatusCode.OK, f"{self.code}: {self.details}"
        (schema,) = self.schemas
        return schema

    @property
    def table(self) -> pa.Table:
        return pa.Table.from_batches(self.batches, self.schema)

    def column(self, index: int = 0) -> list[Any]:
        return self.table.column(index).to_pylist()


class _Decoder:
    """From messages back to batches."""

    def __init__(self, answer: WireResult) -> None:
        self._answer = answer
        self._stream = b""

    def take(self, data: Any) -> None:
        if not data.data_header:
            return
        header = data.data_header + b"\0" * (-(len(data.data_header) + 8) % 8)
        body = data.data_body + b"\0" * (-len(data.data_body) % 8)
        message = b"\xff\xff\xff\xff" + len(header).to_bytes(4, "little") + header + body
        if pa.ipc.read_message(message).type == "schema":
            self._stream = message
            self._answer.schemas.append(pa.ipc.open_stream(message).schema)
        else:
            self._answer.batches.append(pa.ipc.open_stream(self._stream + message).read_next_batch())


class Call:
    """One DoExchange, written and read as a test likes."""

    def __init__(
        self, stub: Any, requests: Iterator[Any], metadata: tuple[tuple[str, str], ...], timeout: float
    ) -> None:
        self.answer = WireResult()
        self._decoder = _Decoder(self.answer)
        self._call = stub(requests, metadata=metadata, timeout=timeout)

    def wait_headers(self) -> None:
        self._call.initial_metadata()

    def next(self) -> bool:
        """Takes one message; false at the end."""
        try:
            self._decoder.take(next(self._call))
        except StopIteration:
            return False
        except grpc.RpcError as error:
            self.answer.code, self.answer.details = error.code(), error.details()
            return False
        return True

    def finish(self) -> WireResult:
        while self.next():
            pass
        return self.answer

    def cancel(self) -> None:
        self._call.cancel()


class Wire:
    """A client with a connection of its own."""

    def __init__(self, address: str, *, agent: str = "", version: bool = False, headers: dict[str, str] | None = None):
        options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", -1),
        ]
        if agent:
            options.append(("grpc.primary_user_agent", agent))
        self._channel = grpc.insecure_channel(address, options)
        self._headers = tuple((headers or {}).items())
        if version:
            self.action("protocol_version")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def _stub(self, rpc: str, *, streams: tuple[bool, bool], answer: Any) -> Any:
        make = {
            (False, False): self._channel.unary_unary,
            (False, True): self._channel.unary_stream,
            (True, True): self._channel.stream_stream,
        }[streams]
        return make(
            _SERVICE + rpc,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer,
        )

    def action(self, name: str, body: bytes = b"") -> list[bytes]:
        stub = self._stub("DoAction", streams=(False, True), answer=_CLASSES["Result"].FromString)
        request = _CLASSES["Action"](type=name, body=body)
        return [result.body for result in stub(request, metadata=self._headers, timeout=30)]

    def actions(self) -> dict[str, str]:
        stub = self._stub("ListActions", streams=(False, True), answer=_CLASSES["ActionType"].FromString)
        answers = stub(_CLASSES["Empty"](), metadata=self._headers, timeout=30)
        return {action.type: action.description for action in answers}

    def info(self, name: str) -> flight.FlightInfo:
        stub = self._stub("GetFlightInfo", streams=(False, False), answer=flight.FlightInfo.deserialize)
        return stub(FlightDescriptor(type=1, path=[name]), metadata=self._headers, timeout=30)

    def flights(self) -> list[flight.FlightInfo]:
        stub = self._stub("ListFlights", streams=(False, True), answer=flight.FlightInfo.deserialize)
        return list(stub(_CLASSES["Criteria"](), metadata=self._headers, timeout=30))

    def open(self, requests: Iterator[Any], timeout: float = 120) -> Call:
        stub = self._stub("DoExchange", streams=(True, True), answer=FlightData.FromString)
        return Call(stub, requests, self._headers, timeout)

    def call(
        self,
        name: str,
        *batches: pa.RecordBatch,
        framing: Framing = on_every_message,
        schema: pa.Schema | None = None,
        timeout: float = 120,
    ) -> WireResult:
        """Writes all of it, closes its half, then reads."""
        return self.open(iter(frames(name, *batches, framing=framing, schema=schema)), timeout).finish()


def arrow_udf(address: str) -> Wire:
    """Behaves as RisingWave: asks for the protocol's version first, on the same connection."""
    return Wire(address, version=True)


def databend(address: str, **headers: str) -> Wire:
    """Behaves as Databend."""
    named = {f"x-databend-{key.replace('_', '-')}": value for key, value in headers.items()}
    return Wire(address, agent="databend-query/v1.2.800-nightly tonic/0.12", headers=named)


def plain(address: str) -> Wire:
    """Neither."""
    return Wire(address)
