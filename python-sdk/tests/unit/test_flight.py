"""The data plane against in-process peers: conversion, order, spread, slicing, exchanges, interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from fake_cluster import batch, check
from fake_fleet import FakePeer, add

import udfleet
from udfleet import Fleet
from udfleet.engines._flight_function import FlightFunction


def test_call_converts_and_broadcasts(cluster):
    call = cluster.fleet.call
    assert call("add", [1, None], (3, 4)).to_pylist() == [4, None]
    assert call("add", 1, pa.chunked_array([[1], [2, 3]])).to_pylist() == [2, 3, 4]
    assert call("add", pa.array([1], pa.int8()), 2).to_pylist() == [3]
    assert call("add", 1, 2).to_pylist() == [3]
    assert call("add", [], []).to_pylist() == []
    assert call("add", range(3), iter([1, 2, 3])).to_pylist() == [1, 3, 5]


def test_call_converts_numpy_and_pandas(cluster):
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    assert cluster.fleet.call("add", numpy.arange(2), numpy.int64(5)).to_pylist() == [5, 6]
    assert cluster.fleet.call("add", pandas.Series([1, None]), pandas.Series([1, 2])).to_pylist() == [2, None]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (([1],), "takes 2 columns"),
        (([1], [1, 2]), "differ in length"),
        ((["x"], [1]), "column 0 does not convert to BIGINT"),
        (([1.5], [1]), "column 0 does not convert to BIGINT"),
        (([2**70], [1]), "column 0 does not convert to BIGINT"),
    ],
)
def test_call_refuses_what_does_not_fit(cluster, columns, complaint):
    with pytest.raises(udfleet.InvalidInputError, match=complaint) as caught:
        cluster.fleet.call("add", *columns)
    assert caught.value.function == "add"


def test_small_calls_share_a_stream(cluster):
    def streams():
        return sum(len(peer.requests) for peer in cluster.executors)

    for number in range(20):
        assert cluster.fleet.call("add", number, 1).to_pylist() == [number + 1]
    assert streams() == 1
    cluster.fleet.call("add", 1, 1, on_error="null")
    assert streams() == 2, "another mode is another stream"
    cluster.coordinator.ticket = b"add@2"
    cluster.fleet._directory.forget("add")
    cluster.fleet.call("add", 1, 1)
    assert streams() == 3, "a stream serves the version that it was opened for"
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: cluster.fleet.call("add", n, 1).to_pylist(), range(200)))
    assert answers == [[n + 1] for n in range(200)]
    assert streams() <= 3 + 8, "no more than calls at a time"


def test_a_kept_stream_that_fails_is_not_used_again(cluster):
    for peer in cluster.executors:
        peer.function = fails_for_seven
    for _ in range(3):
        assert cluster.fleet.call("add", 1, 1).to_pylist() == [2]
        with pytest.raises(udfleet.UserCodeError):
            cluster.fleet.call("add", 7, 7)
    assert sum(len(peer.requests) for peer in cluster.executors) == 3


def fails_for_seven(given):
    if given.column(0)[0].as_py() == 7:
        raise ValueError("seven")
    return add(given)


def test_streams_are_ordered_and_use_all_executors(cluster):
    batches = [batch(i) for i in range(300)]
    check(list(cluster.fleet.stream("add", iter(batches))), batches)
    assert all(len(peer.rows) > 50 for peer in cluster.executors) and not cluster.coordinator.rows
    numbers = [[header.sequence for header in peer.headers] for peer in cluster.executors]
    assert sorted(number for peer in numbers for number in peer) == list(range(300)), "numbered over all streams"
    assert (
        len({peer.requests[0].producer for peer in cluster.executors}) == 1
        and cluster.executors[0].requests[0].producer
    )
    for peer in cluster.executors:
        assert {header.attempt for header in peer.headers} == {1}
        assert (peer.requests[0].function, peer.requests[0].job) == ("add", "j")


def test_through_the_coordinator(cluster):
    fleet = Fleet(cluster.coordinator.address, direct=False)
    check(list(fleet.stream("add", [batch(1)])), [batch(1)])
    assert cluster.coordinator.rows == [100]
    fleet.close()


def test_no_batches_and_empty_batches(cluster):
    assert list(cluster.fleet.stream("add", [])) == []
    assert [b.num_rows for b in cluster.fleet.stream("add", [batch(0, 0), batch(0, 1)])] == [0, 1]


def test_large_batches_are_sliced_and_joined(cluster):
    batches = [batch(0, 500_000), batch(7, 10), batch(9, 300_000)]
    check(list(cluster.fleet.stream("add", batches)), batches)
    sent = [rows for peer in cluster.executors for rows in peer.rows]
    assert sum(sent) == 800_010 and len(sent) > 10 and min(r for r in sent if r > 10) >= 10_000


def test_wide_rows_are_not_sliced(cluster):
    cluster.coordinator.endpoints = cluster.coordinator.endpoints[:1]
    cluster.executors[0].function = lambda given: pa.array([1] * given.num_rows, pa.int64())
    text = pa.array(["x" * 100_000] * 50)
    (answer,) = cluster.fleet.stream("add", [pa.RecordBatch.from_arrays([text, text], ["a", "b"])])
    assert cluster.executors[0].rows == [50] and answer.num_rows == 50


def test_the_window_bounds_what_is_taken_in(cluster):
    taken = 0

    def source():
        nonlocal taken
        for i in range(1000):
            taken += 1
            yield batch(i)

    answers = cluster.fleet.stream("add", source())
    next(answers)
    assert taken <= 2 * 8 + 1
    answers.close()


def test_a_slow_source_gets_its_answers_at_once(cluster):
    waiting = threading.Event()

    def source():
        for i in range(4):
            time.sleep(0.05)
            yield batch(i)
            if i == 1:
                waiting.set()

    answers = cluster.fleet.stream("add", source())
    next(answers)
    assert not waiting.is_set()
    assert len(list(answers)) == 3


def test_exchange(cluster):
    with cluster.fleet.exchange("add") as exchange:
        assert exchange.call(batch(1, 1)).to_pylist() == [2]
        for i in range(8):
            exchange.send(batch(i, 1))
        with pytest.raises(udfleet.LimitExceededError):
            exchange.send(batch(0, 1))
        assert [exchange.receive().to_pylist() for _ in range(8)] == [[2 * i] for i in range(8)]
        with pytest.raises(udfleet.InvalidInputError):
            exchange.receive()
    assert sorted(len(peer.rows) for peer in cluster.executors) == [0, 9]


def test_after_a_failed_call_an_exchange_goes_on(cluster):
    def raises(given):
        if given.column(0)[0].as_py() == 500:
            raise ValueError("no such thing")
        return add(given)

    for peer in cluster.executors:
        peer.function = raises
    with cluster.fleet.exchange("add") as exchange:
        assert exchange.call(batch(1, 1)).to_pylist() == [2]
        exchange.send(batch(500, 1))
        exchange.send(batch(2, 1))
        with pytest.raises(udfleet.UserCodeError):
            exchange.receive()
        # What was in flight beside it is given up with it.
        assert [exchange.call(batch(i, 1)).to_pylist() for i in range(20)] == [[2 * i] for i in range(20)]


def test_executors_that_come_in_mid_stream_are_used(cluster, monkeypatch):
    monkeypatch.setattr("udfleet._flight.directory.ROUTE_SECONDS", 0.01)
    monkeypatch.setattr("udfleet._flight.pipeline._LOOK_SECONDS", 0.01)
    first, second = cluster.executors
    cluster.coordinator.endpoints = [first.address]
    batches = batches_until(
        lambda: len(second.rows) > 20, on_count={20: lambda: cluster.coordinator.endpoints.append(second.address)}
    )
    answers = list(cluster.fleet.stream("add", batches))
    assert [answer.column(0)[0].as_py() for answer in answers] == [2 * i for i in range(len(answers))]
    assert len(first.rows) + len(second.rows) == len(answers)


def test_a_stream_gets_no_executor_of_a_later_version(cluster, monkeypatch):
    monkeypatch.setattr("udfleet._flight.directory.ROUTE_SECONDS", 0.01)
    monkeypatch.setattr("udfleet._flight.pipeline._LOOK_SECONDS", 0.01)
    first, second = cluster.executors
    cluster.coordinator.endpoints = [first.address]

    def replaced():
        cluster.coordinator.endpoints.append(second.address)
        cluster.coordinator.ticket = b"add@2"

    asked = cluster.coordinator.asked
    batches = batches_until(lambda: cluster.coordinator.asked > asked + 5, on_count={20: replaced})
    answers = list(cluster.fleet.stream("add", batches))
    assert not second.rows and len(answers) == len(first.rows)


def batches_until(enough, on_count):
    """Batches that count up, until enough were sent."""
    deadline, count = time.monotonic() + 30, 0
    while not enough():
        assert time.monotonic() < deadline
        on_count.get(count, lambda: None)()
        yield batch(count, 1)
        count += 1


class Stuck(FakePeer):
    """Answers nothing; says when its stream has begun, and when it was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.began = threading.Event()

    def do_exchange(self, context, descriptor, reader, writer):
        next(reader)
        self.began.set()
        while not context.is_cancelled():
            time.sleep(0.01)
        self.cancelled.set()


def test_ctrl_c_cancels_the_stream(cluster):
    stuck = Stuck()
    cluster.coordinator.endpoints = [stuck.address]

    def interrupt():
        stuck.began.wait()
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            cluster.fleet.call("add", 1, 2)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert stuck.cancelled.wait(10)
    stuck.shutdown()


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1", "127.0.0.1:8815"),
        ("host", "host:8815"),
        ("host:1", "host:1"),
        ("grpc://host", "host:8815"),
        ("http://host:5/", "host:5"),
        ("[::1]", "[::1]:8815"),
        ("::1", "[::1]:8815"),
        ("[::1]:7", "[::1]:7"),
        (" host:9 ", "host:9"),
    ],
)
def test_addresses(written, address):
    with Fleet(written) as fleet:
        assert fleet.address == address
    assert FlightFunction(written, "f").address == address


@pytest.mark.parametrize(
    "address", ["", ":8815", "host:", "host:x", "host:0", "host:99999", "a b", "ftp://h", "h/x", 5, None]
)
def test_what_is_no_address(address):
    with pytest.raises(udfleet.InvalidInputError) as caught:
        Fleet(address)
    assert "8815" in caught.value.hint


def test_fleets_are_thread_safe(cluster):
    failures = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                assert cluster.fleet.call("add", number, [number] * 10).to_pylist() == [2 * number] * 10
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_progress_lines(cluster, capsys):
    list(cluster.fleet.stream("add", [batch(0)] * 3, progress=True))
    assert "add: 300 of 300 rows in" in capsys.readouterr().err
