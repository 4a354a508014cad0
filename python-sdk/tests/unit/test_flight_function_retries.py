"""What an engine's worker sends again: where a batch may have run, only what may run twice."""

from __future__ import annotations

import pickle
import socket

import pyarrow as pa
import pyarrow.flight as flight
import pytest

import udfleet
from udfleet.engines._flight_function import FlightFunction

BATCH = pa.record_batch({"a": [1]})


class Failing(flight.FlightServerBase):
    """Takes a batch in, and fails."""

    def __init__(self, message: str) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.message = message
        self.batches = 0

    def do_exchange(self, context, descriptor, reader, writer):
        reader.read_chunk()
        self.batches += 1
        raise flight.FlightUnavailableError(self.message)


@pytest.mark.parametrize(
    ("message", "repeatable", "sent"),
    [
        ("the executor went away", True, 5),
        ("the executor went away", False, 1),
        ("NO_CAPACITY: all interpreters are busy", False, 5),
    ],
)
def test_what_may_have_run(monkeypatch, message, repeatable, sent):
    monkeypatch.setattr("udfleet.engines._flight_function._FIRST_PAUSE", 0.001)
    with Failing(message) as peer:
        made = FlightFunction(f"127.0.0.1:{peer.port}", "f", direct=False, repeatable=repeatable)
        function = pickle.loads(pickle.dumps(made))
        with pytest.raises(udfleet.UdfleetError) as caught:
            function.call(BATCH)
        assert caught.value.retryable and peer.batches == sent


def test_a_peer_that_was_never_reached_is_tried_again(monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr("udfleet.engines._flight_function.time.sleep", pauses.append)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        function = FlightFunction(f"127.0.0.1:{free.getsockname()[1]}", "f", direct=False, repeatable=False)
        with pytest.raises(udfleet.UnreachableError):
            function.call(BATCH)
    assert len(pauses) == 4


class Telling(flight.FlightServerBase):
    """Says of a function where the coordinators are, as a coordinator does."""

    def __init__(self) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.coordinators: list[str] = []
        self.asked = 0

    def get_flight_info(self, context, descriptor):
        self.asked += 1
        schema = pa.schema([("a", pa.int64())], {"x-udfleet-coordinators": ",".join(self.coordinators)})
        endpoint = flight.FlightEndpoint(b"f@1", ["grpc+tcp://127.0.0.1:1"])
        return flight.FlightInfo(schema, descriptor, [endpoint], -1, -1)


def test_a_worker_knows_the_coordinators_that_were_learned_where_the_job_was_made():
    with Telling() as other:
        with Telling() as named:
            named.coordinators = other.coordinators = [f"127.0.0.1:{each.port}" for each in (named, other)]
            function = FlightFunction(f"127.0.0.1:{named.port}", "f")
            function.resolve()
        worker = pickle.loads(pickle.dumps(function))
        assert worker.resolve() is not None and other.asked == 1
