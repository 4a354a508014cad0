"""Streams of an engine's worker whose peers say nothing, and such that say that they are at work."""

from __future__ import annotations

import time

import pyarrow as pa
import pyarrow.flight as flight
import pytest

import udfleet
from udfleet._flight import silence
from udfleet.engines._flight_function import FlightFunction

BATCH = pa.record_batch({"a": [1]})
LOOK_SECONDS, LOOKS = 0.05, 10


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(silence, "LOOK_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(silence, "LOOKS", LOOKS)
    # The thread that looks may be in a longer sleep of an earlier test.
    monkeypatch.setattr(silence, "_watching", [])


class Headers(flight.ServerMiddlewareFactory):
    """What was asked for."""

    def start_call(self, info, headers):
        self.seen = headers
        return None


class Peer(flight.FlightServerBase):
    """A coordinator that sends clients to `executors`, or an executor."""

    def __init__(self, silent: bool, executors: tuple[Peer, ...] = (), working_seconds: float = 0) -> None:
        self.headers = Headers()
        super().__init__("grpc://127.0.0.1:0", middleware={"headers": self.headers})
        self.silent, self.executors, self.working_seconds = silent, executors, working_seconds
        self.batches = 0

    def get_flight_info(self, context, descriptor):
        endpoints = [flight.FlightEndpoint(b"f@1", [f"grpc+tcp://127.0.0.1:{each.port}"]) for each in self.executors]
        return flight.FlightInfo(pa.schema([("a", pa.int64())]), descriptor, endpoints, -1, -1)

    def do_exchange(self, context, descriptor, reader, writer):
        writer.begin(BATCH.schema)
        for chunk in reader:
            self.batches += 1
            while self.silent and not context.is_cancelled():
                time.sleep(0.01)
            every = float(self.headers.seen["x-udfleet-progress-ms"][0]) / 1000
            until = time.monotonic() + self.working_seconds
            while time.monotonic() < until:
                time.sleep(every)
                writer.write_metadata(b"at work")
            writer.write_batch(chunk.data)


def test_a_batch_of_a_silent_executor_goes_to_another_and_later_ones_avoid_it():
    with Peer(silent=True) as executor, Peer(silent=False, executors=(executor,)) as coordinator:
        function = FlightFunction(f"127.0.0.1:{coordinator.port}", "f")
        assert function.call(BATCH).to_pylist() == [1]
        function.close()
        assert function.call(BATCH).to_pylist() == [1]
        function.close()
        assert (executor.batches, coordinator.batches) == (1, 2)


def test_what_runs_once_only_is_not_sent_again():
    with Peer(silent=True) as executor, Peer(silent=False, executors=(executor,)) as coordinator:
        function = FlightFunction(f"127.0.0.1:{coordinator.port}", "f", repeatable=False)
        with pytest.raises(udfleet.errors.ExecutorLostError):
            function.call(BATCH)
        assert coordinator.batches == 0


def test_a_long_call_is_no_silence():
    with Peer(silent=False, working_seconds=3 * LOOK_SECONDS * LOOKS) as executor:
        with Peer(silent=False, executors=(executor,)) as coordinator:
            function = FlightFunction(f"127.0.0.1:{coordinator.port}", "f", repeatable=False)
            assert function.call(BATCH).to_pylist() == [1]
            function.close()
        assert executor.batches == 1
