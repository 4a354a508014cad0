"""Clients that both sides of a comparison share."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.flight as flight

from udfleet._flight import codec
from udfleet._flight.exchange_stream import ExchangeStream
from udfleet._flight.pending_batch import PendingBatch
from udfleet._proto.udfleet.v1 import exchange_pb2

NO_OPTIONS = flight.FlightCallOptions()
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


class Peer:
    """A Flight server and what to call there."""

    def __init__(self, address: str, function: str, options: flight.FlightCallOptions = NO_OPTIONS) -> None:
        self.address = address
        self.function = function
        self.options = options

    def client(self) -> flight.FlightClient:
        return flight.FlightClient(f"grpc+tcp://{self.address}", generic_options=_OWN_CONNECTION)

    def descriptor(self) -> flight.FlightDescriptor:
        return codec.descriptor(exchange_pb2.ExchangeRequest(function=self.function, job="bench").SerializeToString())

    def link(self, client: flight.FlightClient) -> ExchangeStream:
        return ExchangeStream(client, self.address, self.descriptor(), self.options)


def plain_rate(peer: Peer, batch: pa.RecordBatch, count: int) -> float:
    """Rows per second of a plain pyarrow client: PATH descriptor, one thread writes, one reads."""
    with peer.client() as client:
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_path(peer.function), peer.options)

        def write() -> None:
            writer.begin(batch.schema)
            for _ in range(count):
                writer.write_batch(batch)
            writer.done_writing()

        started = time.perf_counter()
        thread = threading.Thread(target=write)
        thread.start()
        rows = sum(len(chunk.data) for chunk in reader)
        seconds = time.perf_counter() - started
        thread.join()
        writer.close()
    assert rows == count * len(batch), f"{rows} rows came back for {count * len(batch)}"
    return rows / seconds


def link_rate(peer: Peer, batch: pa.RecordBatch, count: int) -> float:
    """Rows per second of the SDK's own stream."""
    with peer.client() as client:
        link = peer.link(client)
        sent, size = 0, batch.nbytes
        started = time.perf_counter()
        while link.answered < count:
            while sent < count and link.has_room(size):
                link.send(PendingBatch(batch, size, 0))
                sent += 1
            link.receive()
        seconds = time.perf_counter() - started
        link.finish()
    return count * len(batch) / seconds


def latency(peer: Peer, batch: pa.RecordBatch, count: int, percentile: int = 50) -> float:
    """Seconds of a call on an open stream: the median, or another percentile."""
    with peer.client() as client:
        link = peer.link(client)

        def call() -> None:
            link.send(PendingBatch(batch, batch.nbytes, 0))
            link.receive()

        call()
        seconds = sorted(timed(call) for _ in range(count))
        link.finish()
    return seconds[min(count - 1, count * percentile // 100)]


def fresh(peer: Peer, batch: pa.RecordBatch, count: int) -> float:
    """Median seconds of connecting, one call and closing."""

    def call() -> None:
        with peer.client() as client:
            link = peer.link(client)
            link.send(PendingBatch(batch, batch.nbytes, 0))
            link.receive()
            link.finish()

    return statistics.median(timed(call) for _ in range(count))


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
