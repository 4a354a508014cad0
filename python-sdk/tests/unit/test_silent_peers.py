"""Peers that take a batch and say nothing more, and peers that take long and say how it stands."""

from __future__ import annotations

import threading
import time
from typing import Any

import pyarrow as pa
import pytest
from fake_fleet import RESULT, FakePeer, add

from udfleet import errors
from udfleet._flight import silence
from udfleet._proto.udfleet.v1 import exchange_pb2


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread that looks may be in a longer sleep of an earlier test.
    monkeypatch.setattr(silence, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(silence, "LOOKS", 15)
    monkeypatch.setattr(silence, "_watching", [])


class SilentPeer(FakePeer):
    """Takes batches and answers none."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = threading.Event()

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        writer.begin(pa.schema([RESULT]))
        next(reader)
        self.taken.set()
        while not context.is_cancelled():
            time.sleep(0.01)
        self.cancelled.set()


class SlowPeer(FakePeer):
    """Answers after some signs of life: as a call that lasts longer than a peer may be silent."""

    told = 0
    older = False
    """It gives no signs of life, as versions did that had none."""

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        request = exchange_pb2.ExchangeRequest.FromString(descriptor.command.partition(b"\0")[2])
        writer.begin(pa.schema([RESULT]))
        for chunk in reader:
            header = exchange_pb2.BatchHeader.FromString(chunk.app_metadata.to_pybytes())
            for self.told in range(25):
                time.sleep(request.progress_every_ms / 1000)
                progress = exchange_pb2.StreamProgress(in_flight=1, running=1)
                if self.older:
                    continue
                writer.write_metadata(exchange_pb2.BatchResult(progress=progress).SerializeToString())
            out = pa.RecordBatch.from_arrays([add(chunk.data)], schema=pa.schema([RESULT]))
            answer = exchange_pb2.BatchResult(sequence=header.sequence, last=True, rows=1)
            writer.write_with_metadata(out, answer.SerializeToString())


def called(cluster: Any, left: int, right: int) -> list[int]:
    values: list[int] = cluster.fleet.call("add", left, right).to_pylist()
    return values


def test_a_batch_of_a_silent_executor_goes_to_another(cluster):
    silent, well = SilentPeer(), FakePeer()
    cluster.coordinator.endpoints = [silent.address]
    calls: list[Any] = []
    thread = threading.Thread(target=lambda: calls.append(called(cluster, 1, 2)))
    thread.start()
    assert silent.taken.wait(10)
    cluster.coordinator.endpoints = [well.address]
    thread.join(20)
    assert calls == [[3]]
    assert silent.cancelled.wait(10), "what it has not begun must not run later"
    # The coordinator forwards, unless it names another by then.
    assert [header.attempt for header in [*cluster.coordinator.headers, *well.headers]] == [2]
    silent.shutdown()
    well.shutdown()


def test_what_runs_once_only_fails_where_its_executor_is_silent(cluster, monkeypatch):
    silent = SilentPeer()
    cluster.coordinator.endpoints = [silent.address]
    monkeypatch.setattr("udfleet._flight.target.Target.max_attempts", lambda _: 1)
    with pytest.raises(errors.ExecutorLostError) as caught:
        cluster.fleet.call("add", 1, 2)
    assert not caught.value.has_no_side_effects
    assert not cluster.coordinator.headers
    silent.shutdown()


def test_a_long_call_is_no_silence(cluster):
    slow = SlowPeer()
    cluster.coordinator.endpoints = [slow.address]
    assert called(cluster, 1, 2) == [3]
    assert slow.told == 24
    assert not cluster.coordinator.headers
    slow.shutdown()


def test_silence_of_an_executor_that_never_says_how_streams_stand_means_nothing(cluster):
    slow = SlowPeer()
    slow.older = True
    cluster.coordinator.endpoints, cluster.coordinator.reports_progress = [slow.address], False
    assert called(cluster, 1, 2) == [3]
    assert slow.told == 24
    assert not cluster.coordinator.headers
    slow.shutdown()


def test_a_silent_executor_is_not_asked_again_for_a_while(cluster):
    silent = SilentPeer()
    cluster.coordinator.endpoints = [silent.address]
    assert called(cluster, 1, 2) == [3]
    silent.taken.clear()
    assert called(cluster, 2, 3) == [5]
    assert not silent.taken.is_set()
    silent.shutdown()


def test_time_without_a_look_does_not_count():
    class Reader:
        cancelled = 0

        def cancel(self) -> None:
            self.cancelled += 1

    reader = Reader()
    patience = silence.Patience(reader)
    for _ in range(silence.LOOKS - 1):
        patience.begin()
        patience.look()
    patience.end()
    patience.look()
    assert not patience.silent
    patience.begin(size=9 << 20)
    for _ in range(silence.LOOKS + 1):
        patience.look()
    assert not patience.silent, "a large batch takes longer to write"
    patience.look()
    assert patience.silent
    assert reader.cancelled == 1


def test_a_thread_that_could_not_start_or_has_ended_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader:
        def __init__(self) -> None:
            self.cancelled = threading.Event()

        def cancel(self) -> None:
            self.cancelled.set()

    def no_room(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    first, second = Reader(), Reader()
    with monkeypatch.context() as narrow:
        narrow.setattr(threading.Thread, "start", no_room)
        unwatched = silence.Patience(first)
    unwatched.begin()
    ended = threading.Thread(target=int)
    ended.start()
    ended.join()
    silence._watching[:] = [ended]
    patience = silence.Patience(second)
    patience.begin()
    assert first.cancelled.wait(20) and second.cancelled.wait(20)
    assert unwatched.silent and patience.silent
