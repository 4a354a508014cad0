"""Answers in parts: order, memory, loss in the middle of an answer, aggregations, plans straight to executors."""

from __future__ import annotations

import threading
import time
import types

import pyarrow as pa
import pytest
from fake_tables import TablePeer

import udfleet
from udfleet import Fleet
from udfleet._proto.udfleet.v1 import error_pb2
from udfleet.progress import BundleProgressHandler


class Cluster:
    def __init__(self, executors: int) -> None:
        self.coordinator = TablePeer()
        self.executors = [TablePeer() for _ in range(executors)]
        self.coordinator.endpoints = [peer.address for peer in self.executors]
        self.fleet = Fleet(self.coordinator.address, job="j")
        self.deterministic = True
        # What the control plane would say.
        self.fleet._runner._describe = self.fleet._functions._ask = lambda name: types.SimpleNamespace(
            deterministic=self.deterministic, config={}, kind="table", result_type=udfleet.DataTypes.BIGINT()
        )

    def close(self) -> None:
        self.fleet.close()
        for peer in [self.coordinator, *self.executors]:
            peer.shutdown()


@pytest.fixture
def cluster():
    made = Cluster(2)
    yield made
    made.close()


def batch(*numbers: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(numbers, pa.int64())})


def expected(*numbers: int, start: int = 0) -> list[tuple[int, int]]:
    return [(start + row, value) for row, count in enumerate(numbers) for value in range(count)]


def rows(parts) -> list[tuple[int, int]]:
    return [tuple(row.values()) for part in parts for row in part.to_pylist()]


def test_a_table_function_gives_a_table(cluster):
    table = cluster.fleet.call("repeat", [2, 0, 2500])
    assert table.column_names == ["row", "result"] and rows([table]) == expected(2, 0, 2500)
    assert cluster.fleet.call("repeat", [0]).num_rows == 0
    assert cluster.fleet.call("repeat", []).column_names == ["row", "result"]


def test_rows_are_counted_over_the_stream(cluster):
    parts = list(cluster.fleet.stream("repeat", [batch(1, 0), batch(2500), batch(0), batch(2)]))
    assert rows(parts) == [*expected(1), *expected(2500, start=2), *expected(2, start=4)]
    assert all(part.num_rows for part in parts) and max(part.num_rows for part in parts) == 1000


def test_both_executors_work_and_order_is_kept(cluster):
    numbers = [(n * 37) % 3000 for n in range(60)]
    parts = cluster.fleet.stream("repeat", (batch(n) for n in numbers))
    assert rows(parts) == expected(*numbers)
    assert all(peer.batches_taken > 5 for peer in cluster.executors)


def test_answers_are_pulled_only_when_wanted(cluster):
    """One answer of many megabytes: who takes its first part has caused little of it."""
    answers = cluster.fleet.stream("repeat", [batch(*[1_000_000] * 2)] * 8)
    first = next(answers)
    assert first.num_rows == 1000
    taken, still = -1, 0
    deadline = time.monotonic() + 20
    # Whatever the peers can send ahead of the reader they have sent when it stops growing.
    while still < 10 and time.monotonic() < deadline:
        now = sum(peer.parts_sent for peer in cluster.executors)
        still = still + 1 if now == taken else 0
        taken = now
        threading.Event().wait(0.05)
    assert taken < 8 * 2000 / 2
    assert pa.total_allocated_bytes() < 600 << 20
    answers.close()


@pytest.mark.parametrize("parts", [1, 3, 10])
def test_what_is_lost_in_the_middle_of_an_answer_goes_on_elsewhere(cluster, parts):
    for peer in cluster.executors:
        peer.die_after_parts = parts
    numbers = [5500, 10, 2500, 0, 7000]
    assert rows(cluster.fleet.stream("repeat", [batch(n) for n in numbers])) == expected(*numbers)


def test_other_results_are_not_mixed_in(cluster):
    """A function that is not deterministic can't be run again once some of its results were handed out."""
    cluster.deterministic = False
    for peer in cluster.executors:
        peer.die_after_parts = 3
    answers = cluster.fleet.stream("repeat", [batch(5500)])
    assert next(answers).num_rows == 1000
    with pytest.raises(udfleet.ExecutorLostError, match="were handed out"):
        list(answers)


def test_what_is_not_deterministic_runs_once(cluster):
    """A batch that was lost may have run, though none of its results came."""
    cluster.deterministic = False
    for peer in [cluster.coordinator, *cluster.executors]:
        peer.die_after_parts, peer.deaths = 0, 100
    with pytest.raises(udfleet.ExecutorLostError) as caught:
        list(cluster.fleet.stream("repeat", [batch(10)]))
    assert caught.value.attempt == 1 and "udfleet.retry.max-attempts" in caught.value.hint
    assert sum(peer.batches_taken for peer in [cluster.coordinator, *cluster.executors]) == 1


def test_what_is_not_deterministic_goes_elsewhere_where_it_was_refused(cluster):
    cluster.deterministic = False
    full = error_pb2.ErrorInfo(code=error_pb2.NO_CAPACITY, message="full", has_no_side_effects=True)
    cluster.executors[0].refuse = full
    assert rows(cluster.fleet.stream("repeat", [batch(10)] * 4)) == expected(*[10] * 4)


def test_an_aggregate_function_gives_one_value(cluster):
    assert cluster.fleet.call("sum", [1, 2, 3]).to_pylist() == [6]
    assert rows(cluster.fleet.stream("sum", (batch(n, n) for n in range(100)))) == [(9900,)]
    assert rows(cluster.fleet.stream("sum", [])) == [(0,)]
    assert sorted(len(peer.requests) for peer in cluster.executors) != [0, 0]


def test_an_aggregation_runs_again_where_it_can(cluster):
    for peer in cluster.executors:
        peer.crash_at_end = 1
    assert rows(cluster.fleet.stream("sum", [batch(1), batch(2)])) == [(3,)]
    named = sorted((header.attempt, header.sequence) for peer in cluster.executors for header in peer.headers)
    assert named[:4] == [(1, 0), (1, 1), (2, 0), (2, 1)], "the second run is known as one"
    assert len({request.producer for peer in cluster.executors for request in peer.requests}) == 1
    for peer in cluster.executors:
        peer.crash_at_end = 100
    with pytest.raises(udfleet.InterpreterCrashedError):
        list(cluster.fleet.stream("sum", [batch(1)]))
    tries = sum(len(peer.requests) for peer in cluster.executors)
    with pytest.raises(udfleet.InterpreterCrashedError):
        list(cluster.fleet.stream("sum", iter([batch(1)])))
    assert sum(len(peer.requests) for peer in cluster.executors) == tries + 1


def test_plans_of_one_stage_go_to_executors(cluster):
    table = cluster.fleet.from_elements([(3,), (2,)], ["n"]).join_lateral("repeat(n) as (m)")
    assert rows(table.execute(on_error="skip")) == expected(3, 2)
    (request,) = [request for peer in cluster.executors for request in peer.requests]
    assert list(request.stage.functions) == ["repeat@1"] and request.on_error == 3 and request.job == "j"
    cluster.coordinator.endpoints = [cluster.coordinator.address]
    assert rows(table.execute()) == expected(3, 2)
    (request,) = cluster.coordinator.requests
    assert request.plan.operators[0].correlate.call.function == "repeat"


@pytest.mark.parametrize("code", ["FUNCTION_NOT_FOUND", "NO_CAPACITY"])
def test_a_stage_that_executors_refuse_goes_through_the_coordinator(cluster, code):
    for peer in cluster.executors:
        peer.refuse = error_pb2.ErrorInfo(code=code, message="not here")
    table = cluster.fleet.from_elements([(3,), (2,)], ["n"]).join_lateral("repeat(n) as (m)")
    assert rows(table.execute()) == expected(3, 2)
    (request,) = cluster.coordinator.requests
    assert request.HasField("plan") and not request.HasField("stage")


def test_plans_that_aggregate_take_one_stream(cluster):
    cluster.coordinator.endpoints = [cluster.coordinator.address]
    table = cluster.fleet.from_batches([batch(n) for n in range(50)]).group_by("n").select("sum(n) as s")
    assert table.to_arrow().to_pylist() == [{"result": 1225}]
    assert len(cluster.coordinator.requests) == 1


class Recorder(BundleProgressHandler):
    def __init__(self):
        self.seen, self.done = [], []

    def on_progress(self, progress):
        self.seen.append(progress)

    def on_completed(self, response):
        self.done.append(response)


def test_progress_of_bundles_as_executors_tell_it(cluster):
    for peer in cluster.executors:
        peer.bundle_batches = 2
    list(cluster.fleet.stream("repeat", [batch(1)], progress_handler=BundleProgressHandler.ignored()))
    handler = Recorder()
    parts = list(cluster.fleet.stream("repeat", [batch(1500)] * 5, progress_handler=handler))
    assert sum(part.num_rows for part in parts) == 7500
    assert sum(done.batches for done in handler.done) == 5 and sum(done.rows_out for done in handler.done) == 7500
    assert all(done.metrics["repeat@1"][0].count == 7 for done in handler.done)
    assert {done.executor for done in handler.done} <= {peer.address for peer in cluster.executors}
    assert all(request.bundle_progress for peer in cluster.executors for request in peer.requests)
    assert len({(done.executor, done.bundle) for done in handler.done}) == len(handler.done) >= 3
    list(cluster.fleet.stream("repeat", [batch(1)], progress_handler=BundleProgressHandler.ignored()))


def test_exchange_is_for_scalars(cluster):
    with pytest.raises(udfleet.InvalidInputError):
        cluster.fleet.exchange("repeat")
