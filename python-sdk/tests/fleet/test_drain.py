"""An executor is drained: its work moves, what runs goes on, and it can be taken back."""

from __future__ import annotations

import threading

import pytest
from fleet_support import BIGINT, batches, eventually, run_cli

import udfleet
from udfleet import Environment, udf


@pytest.fixture(scope="module")
def pair():
    with udfleet.local(executors=2, interpreters=1) as fleet:
        yield fleet


def executor_states(fleet):
    return {executor.id: executor.state for executor in fleet.executors()}


def ready_on(fleet, name):
    return sorted(entry.executor for entry in fleet.function(name).executors if entry.state == "READY")


def test_draining_moves_functions_and_calls_go_on(pair, tmp_path):
    pair.register_function("moves", udf(lambda a: a + 1, BIGINT, BIGINT))
    (tmp_path / "own.py").touch()
    own = Environment(files=[tmp_path / "own.py"])
    pair.register_function("only_one", udf(lambda a: -a, BIGINT, BIGINT), own, config={"udfleet.executors": 1})
    eventually("ready on both", lambda: ready_on(pair, "moves") == ["executor-1", "executor-2"])
    (home,) = eventually("placed", lambda: ready_on(pair, "only_one"))
    other = ({"executor-1", "executor-2"} - {home}).pop()
    stop, failures, calls = threading.Event(), [], [0]

    def keep_calling():
        while not stop.is_set():
            try:
                assert pair.call("moves", [1, 2]).to_pylist() == [2, 3]
                assert pair.call("only_one", [5]).to_pylist() == [-5]
                calls[0] += 1
            except BaseException as error:
                failures.append(error)
                return

    caller = threading.Thread(target=keep_calling)
    stream = pair.stream("moves", batches(400, 100))
    got = [next(stream) for _ in range(20)]
    caller.start()
    try:
        done = run_cli(pair, "drain", home)
        assert done.stderr.startswith(f"{home} is drain") and done.stdout == ""
        got += stream
        eventually("drained", lambda: executor_states(pair) == {home: "drained", other: "ready"})
        eventually("moved", lambda: ready_on(pair, "only_one") == [other] == ready_on(pair, "moves"))
        before = calls[0]
        eventually("calls go on", lambda: calls[0] > before + 20 or failures)
        run_cli(pair, "drain", home, "--undo")
        eventually("back in service", lambda: executor_states(pair) == {home: "ready", other: "ready"})
        eventually("serving again", lambda: ready_on(pair, "moves") == ["executor-1", "executor-2"])
    finally:
        stop.set()
        caller.join(30)
    assert not failures
    assert [v for answer in got for v in answer.column(0).to_pylist()] == list(range(1, 40_001))


def test_an_unknown_executor(pair):
    done = run_cli(pair, "drain", "executor-9", status=1)
    assert "executor-9" in done.stderr and "error: " in done.stderr and "Traceback" not in done.stderr
