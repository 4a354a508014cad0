"""Calls of one function over plain Arrow Flight: all that is needed where only pyarrow is installed.

Engines' workers have their own protobuf and gRPC, which udfleet's client must not meet.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pyarrow as pa
from pyarrow import flight

_ATTEMPTS = 5
_FIRST_PAUSE = 0.1
_TOKEN_VARIABLE = "UDFLEET_TOKEN"  # noqa: S105 - the name of a variable


class FlightFunction:
    """A registered function by its address. Pickles; opens its stream where it is called.

    :param address: `host:port` of the coordinator.
    :param name: `name`, or `name@version`.
    :param token: the fleet's token; None: the variable UDFLEET_TOKEN of the process that calls.
    :param direct: False sends all batches through the coordinator.
    """

    def __init__(self, address: str, name: str, token: str | None = None, direct: bool = True) -> None:
        self.address = address.partition("://")[2] or address
        self.name = name
        self.token = token
        self.direct = direct
        self._stream: _Stream | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stream": None}

    def describe(self) -> flight.FlightInfo:
        """What the fleet says of it: inputs then the result, and who serves it."""
        with self._connect(self._location()) as client:
            return client.get_flight_info(self._descriptor(), self._options())

    def call(self, batch: pa.RecordBatch) -> pa.Array | pa.ChunkedArray:
        """One value per row. Answers of executors that are away or full are waited for, a few seconds at most."""
        for attempt in range(_ATTEMPTS - 1):
            answer = self._try(batch, direct=self.direct and attempt == 0)
            if answer is not None:
                return answer
            time.sleep(_FIRST_PAUSE * 2**attempt)
        return self._call(batch, direct=False)

    def close(self) -> None:
        """Ends the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _try(self, batch: pa.RecordBatch, direct: bool) -> pa.Array | pa.ChunkedArray | None:
        try:
            return self._call(batch, direct)
        except flight.FlightUnavailableError:
            return None

    def _call(self, batch: pa.RecordBatch, direct: bool) -> pa.Array | pa.ChunkedArray:
        if self._stream is None:
            # When an executor has just failed, the coordinator knows which others live.
            location = self._executor() if direct else self._location()
            self._stream = _Stream(self._connect(location), self._descriptor(), self._options(), batch.schema)
        try:
            return self._stream.call(batch)
        except BaseException:
            stream, self._stream = self._stream, None
            stream.abandon()
            raise

    def _executor(self) -> flight.Location:
        locations = [location for endpoint in self.describe().endpoints for location in endpoint.locations]
        return random.choice(locations) if locations else self._location()  # noqa: S311 - spreads load

    def _location(self) -> flight.Location:
        host, _, port = self.address.rpartition(":")
        return flight.Location.for_grpc_tcp(host, int(port))

    def _connect(self, location: flight.Location) -> flight.FlightClient:
        return flight.FlightClient(location, generic_options=[("grpc.max_receive_message_length", -1)])

    def _descriptor(self) -> flight.FlightDescriptor:
        return flight.FlightDescriptor.for_path(self.name)

    def _options(self) -> flight.FlightCallOptions:
        token = self.token or os.environ.get(_TOKEN_VARIABLE)
        return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())] if token else [])


class _Stream:
    """One DoExchange, kept for many batches of one schema."""

    def __init__(
        self,
        client: flight.FlightClient,
        descriptor: flight.FlightDescriptor,
        options: flight.FlightCallOptions,
        schema: pa.Schema,
    ) -> None:
        self.client = client
        self.writer, self.reader = client.do_exchange(descriptor, options)
        self.writer.begin(schema)

    def call(self, batch: pa.RecordBatch) -> pa.Array | pa.ChunkedArray:
        self.writer.write_batch(batch)
        answer = self.reader.read_chunk().data.column(0)
        if len(answer) != batch.num_rows:
            raise ValueError(f"{len(answer)} values came for {batch.num_rows} rows: the function leaves rows out")
        return answer

    def close(self) -> None:
        self.writer.done_writing()
        self.writer.close()
        self.client.close()

    def abandon(self) -> None:
        """Lets go of a stream that has failed."""
        self.reader.cancel()
        self.client.close()
