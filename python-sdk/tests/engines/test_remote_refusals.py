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
from remote_servers import batch

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
    with remote_servers.doors() as running:
        for child in running.processes.children[1:]:
            child.terminate()
            child.reap()
        yield running


@pytest.mark.parametrize("client_of", CLIENTS)
def test_nobody_serves_the_function(lonely, client_of):
    with client_of(lonely.addresses["coordinator"]) as client:
        answer = refused(client)
        assert answer.code is UNAVAILABLE and not answer.schemas
        # What CREATE FUNCTION asks for and health probes are answered all the same.
        assert client.info("picky").total_records == 1
        assert "picky" in [info.descriptor.path[0].decode() for info in client.flights()]


def test_an_executor_that_is_drained():
    """It will serve the function again, or another one does."""
    with remote_servers.doors() as running:
        executor = running.fleet.executors()[0].id
        running.fleet.drain(executor)
        for state in ("draining", "drained"):
            eventually("it is drained", lambda state=state: state in ("draining", running.fleet.executors()[0].state))
            for client_of in CLIENTS:
                with client_of(running.addresses["executor"]) as client:
                    answer = refused(client)
                    assert answer.code is UNAVAILABLE and not answer.schemas, (state, answer.details)
        for client_of in CLIENTS:
            with client_of(running.addresses["coordinator"]) as client:
                assert client.call("picky", NUMBERS).column() == [1], "the other executor serves"
