"""Who has no room says so before response headers, and so that engines come again."""

from __future__ import annotations

import queue

import flight_wire
import grpc
import pyarrow as pa
import pytest
import remote_servers
from fleet_support import eventually
from flight_wire import frames
from remote_servers import batch, gated

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
CLIENTS = [flight_wire.arrow_udf, flight_wire.databend, flight_wire.plain]
NUMBERS = batch(a=pa.array([1], pa.int64()))


def refused(client):
    """The status that comes while the client still writes: nothing was waited for."""
    unfinished = queue.SimpleQueue()
    for message in frames("picky", NUMBERS):
        unfinished.put(message)
    answer = client.open(iter(unfinished.get, None)).finish()
    unfinished.put(None)
    return answer


@pytest.fixture(scope="module")
def lonely():
    """A coordinator whose executors have gone, which had served."""
    with remote_servers.endpoints() as running:
        running.lose_executors()
        yield running


@pytest.mark.parametrize("client_of", CLIENTS)
def test_nobody_serves_the_function(lonely, client_of):
    with client_of(lonely.addresses["coordinator"]) as client:
        answer = refused(client)
        assert answer.code is UNAVAILABLE and not answer.schemas
        # What CREATE FUNCTION asks for and health probes are answered all the same.
        assert client.info("picky").total_records == 1
        assert "picky" in [info.descriptor.path[0].decode() for info in client.flights()]


def test_an_executor_that_is_drained(tmp_path):
    """It will serve the function again, or another one does."""

    def all_are_refused(state):
        assert running.fleet.executors()[0].state == state
        for client_of in CLIENTS:
            with client_of(running.addresses["executor"]) as client:
                answer = refused(client)
                assert answer.code is UNAVAILABLE and not answer.schemas, (state, answer.details)

    with remote_servers.endpoints() as running, flight_wire.plain(running.addresses["executor"]) as client:
        gate = tmp_path / "gate"
        goes_on = gated(client, gate)
        running.fleet.drain(running.fleet.executors()[0].id)
        # Until it has heard of that it takes calls, which wait behind the one that goes on.
        eventually("it refuses", lambda: client.call("picky", NUMBERS, timeout=1).code is UNAVAILABLE)
        all_are_refused("draining")
        gate.touch()
        assert goes_on.finish().column() == [str(gate)]
        eventually("it is drained", lambda: running.fleet.executors()[0].state == "drained")
        all_are_refused("drained")
        for client_of in CLIENTS:
            with client_of(running.addresses["coordinator"]) as client:
                assert client.call("picky", NUMBERS).column() == [1], "the other executor serves"
