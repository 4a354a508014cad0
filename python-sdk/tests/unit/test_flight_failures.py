"""The data plane against in-process peers that are lost, refuse or fail: resend, bounds, errors."""

from __future__ import annotations

import socket
import threading
import time

import pyarrow as pa
import pytest
from fake_cluster import address_of, batch, check
from fake_fleet import add

import udfleet
from udfleet import Fleet
from udfleet._flight import pipeline
from udfleet._proto.udfleet.v1 import error_pb2


def test_a_lost_executor_is_replaced(cluster):
    cluster.executors[0].die_after = 5
    batches = [batch(i) for i in range(100)]
    check(list(cluster.fleet.stream("add", batches)), batches)
    lost, other = cluster.executors
    assert len(lost.rows) == 5 and len(other.rows) >= 95
    again = [header.sequence for header in other.headers if header.attempt == 2]
    assert again and len(again) == len(set(again)), "what was in flight, once"
    assert {header.attempt for header in other.headers} == {1, 2}
    assert lost.requests[0].producer == other.requests[0].producer


def test_an_executor_that_was_busy_is_asked_again_by_the_same_stream(cluster, monkeypatch):
    monkeypatch.setattr(pipeline, "_BUSY_SECONDS", 0.1)
    busy, other = cluster.executors
    busy.refuse = error_pb2.ErrorInfo(code=error_pb2.NO_CAPACITY, message="busy", has_no_side_effects=True)

    def source():
        for number in range(2000):
            if busy.rows:
                return
            if number == 20:
                busy.refuse = None
            yield batch(number)
            time.sleep(0.01)

    assert len(list(cluster.fleet.stream("add", source()))) < 2000
    assert len(other.rows) >= 19 and not cluster.coordinator.rows
    assert {header.attempt for header in busy.headers} == {1}


def test_when_all_executors_are_lost_the_coordinator_forwards(cluster):
    for peer in cluster.executors:
        peer.die_after = 3
    batches = [batch(i) for i in range(50)]
    check(list(cluster.fleet.stream("add", batches)), batches)
    assert cluster.coordinator.rows


def test_an_executor_that_was_never_there_costs_no_attempt(cluster):
    gone = cluster.executors[0]
    gone.shutdown()
    batches = [batch(i) for i in range(50)]
    check(list(cluster.fleet.stream("add", batches)), batches)
    assert {header.attempt for header in cluster.executors[1].headers} == {1}


def test_an_executor_that_does_not_answer_is_passed_over_soon(cluster):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cluster.coordinator.endpoints = [address_of(silent)]
        start = time.monotonic()
        assert cluster.fleet.call("add", 1, 2).to_pylist() == [3]
        assert time.monotonic() - start < 10, "gRPC by itself takes 20 s"


def test_a_coordinator_that_does_not_answer_is_told_soon():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(udfleet.UnreachableError):
            udfleet.connect(address_of(silent))
        assert time.monotonic() - start < 10


def listens(address):
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.parametrize("direct", [True, False])
def test_a_fleet_that_went_away_is_told_with_its_address(cluster, direct):
    fleet = Fleet(cluster.coordinator.address, direct=direct)
    exchange = fleet.exchange("add")
    exchange.call(batch(0, 1))
    peers = [cluster.coordinator, *cluster.executors]
    endings = [threading.Thread(target=peer.shutdown) for peer in peers]
    for peer, ending in zip(peers, endings):
        # A shutdown waits for open streams: theirs end with their second batch.
        peer.die_after = 1
        ending.start()
        while listens(peer.address):
            pass
    with pytest.raises(udfleet.ExecutorLostError) as caught:
        exchange.call(batch(0, 1))
    error, address = caught.value, cluster.coordinator.address
    assert f"the coordinator at {address}; last: no answer from {address}: " in error.message
    assert ("no executor answered, nor did" in error.message) == direct
    assert "is the fleet running?" in error.hint and "UDFLEET_TOKEN" in error.hint
    fleet.close()
    for ending in endings:
        ending.join()


def test_a_coordinator_that_answers_is_not_told_to_be_away(cluster):
    lost = error_pb2.ErrorInfo(code=error_pb2.EXECUTOR_LOST, message="executor e went away")
    for peer in [cluster.coordinator, *cluster.executors]:
        peer.refuse = lost
    with pytest.raises(udfleet.ExecutorLostError, match=r"^add: no executor answered; last: executor e") as caught:
        cluster.fleet.call("add", 1, 2)
    assert "udfleet status" in caught.value.hint


def test_somebody_else_who_listens_there_is_told_with_the_address(cluster):
    """FakePeer serves no control service, as the coordinator's HTTP port and strangers do."""
    address = cluster.coordinator.address
    with pytest.raises(udfleet.InternalError, match=f"^{address} answered with status UNIMPLEMENTED") as caught:
        udfleet.connect(address)
    assert "8815" in caught.value.hint


def test_a_refused_token_is_told_with_the_address(cluster):
    wrong = error_pb2.ErrorInfo(code=error_pb2.UNAUTHENTICATED, message="the token is wrong", hint="pass another")
    for peer in cluster.executors:
        peer.refuse = wrong
    with pytest.raises(udfleet.UnauthenticatedError) as caught:
        cluster.fleet.call("add", 1, 2)
    refused = [f"{peer.address} refuses the call: the token is wrong" for peer in cluster.executors]
    assert caught.value.message in refused and caught.value.hint == "pass another"


def test_attempts_are_bounded(cluster):
    for peer in [cluster.coordinator, *cluster.executors]:
        peer.die_after = 0
    start = time.monotonic()
    with pytest.raises(udfleet.UdfleetError) as caught:
        cluster.fleet.call("add", 1, 2)
    assert caught.value.retryable and time.monotonic() - start < 20


def test_no_capacity_is_tried_elsewhere_and_then_told(cluster):
    full = error_pb2.ErrorInfo(code=error_pb2.NO_CAPACITY, message="all interpreters are busy", hint="later")
    cluster.executors[0].refuse = full
    batches = [batch(i) for i in range(20)]
    check(list(cluster.fleet.stream("add", batches)), batches)
    cluster.executors[1].refuse = cluster.coordinator.refuse = full
    with pytest.raises(udfleet.NoCapacityError) as caught:
        cluster.fleet.call("add", 1, 2)
    assert (caught.value.message, caught.value.hint) == ("all interpreters are busy", "later")


def test_an_executor_that_no_longer_has_the_function_is_passed_over(cluster):
    cluster.executors[0].refuse = error_pb2.ErrorInfo(code=error_pb2.FUNCTION_NOT_FOUND, message="moved")
    batches = [batch(i) for i in range(20)]
    check(list(cluster.fleet.stream("add", batches)), batches)


def test_in_band_errors_are_typed_and_located(cluster):
    def raises(given):
        if given.column(0)[0].as_py() >= 500:
            raise ValueError("no such thing")
        return add(given)

    for peer in cluster.executors:
        peer.function = raises
    got: list[pa.RecordBatch] = []
    with pytest.raises(udfleet.UserCodeError) as caught:
        got.extend(cluster.fleet.stream("add", [batch(i * 100) for i in range(20)]))
    assert len(got) <= 5
    error = caught.value
    assert (error.code, error.retryable, error.function, error.row) == ("USER_CODE", False, "add@1", 2)
    assert error.exception.type == "ValueError" and error.exception.frames[0].source == "raise ValueError"
    assert 'File "f.py", line 3, in add\n    raise ValueError' in str(error)


def test_error_rows_count_within_the_batch_that_was_given(cluster):
    def raises(given):
        if given.column(0)[0].as_py() > 0:
            raise ValueError("late")
        return add(given)

    for peer in cluster.executors:
        peer.function = raises
    with pytest.raises(udfleet.UserCodeError) as caught:
        cluster.fleet.call("add", range(300_000), range(300_000))
    assert caught.value.row > 10_000


def test_unknown_functions_and_absent_fleets(cluster):
    with pytest.raises(udfleet.FunctionNotFoundError) as caught:
        cluster.fleet.call("ad", 1)
    assert caught.value.hint == "did you mean 'add'?"
    cluster.coordinator.shutdown()
    fleet = Fleet(cluster.coordinator.address)
    with pytest.raises(udfleet.UnreachableError):
        fleet.call("add", 1, 2)
    with pytest.raises(udfleet.UnreachableError):
        fleet.check()
    fleet.close()


def test_different_schemas_in_one_stream_are_refused(cluster):
    other = batch(0).rename_columns(["x", "y"])
    with pytest.raises(udfleet.InvalidInputError, match="the first had"):
        list(cluster.fleet.stream("add", [batch(0), other]))
