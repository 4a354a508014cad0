"""The interpreter dies under a call: the batch is tried again elsewhere, else the caller learns how it ended."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from fleet_support import BIGINT, STRING, alive, batches, eventually, failure_of, lines_of

import udfleet
from udfleet import udf


def crash(how, marker):
    """Leaves its pid, then ends its interpreter, unless `marker` says that this has happened often enough."""
    import ctypes
    import os
    import signal
    import sys

    path, _, times = marker.rpartition("*")
    with open(path, "a+") as file:
        file.seek(0)
        if len(file.readlines()) >= int(times):
            return os.getpid()
        file.write(f"{os.getpid()}\n")
    if how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "null":
        ctypes.string_at(0)
    elif how == "exit":
        print("giving up", file=sys.stderr, flush=True)
        os._exit(3)
    elif how == "abort":
        os.abort()
    return None


@pytest.fixture(scope="module")
def crashing(fleet):
    return fleet.register_function("crash", udf(crash, [STRING, STRING], BIGINT)).reference


@pytest.mark.parametrize("how", ["signal", "exit"])
def test_a_batch_whose_interpreter_dies_once_is_tried_again(fleet, crashing, tmp_path, how):
    before = fleet.progress("crash").total.retries
    marker = tmp_path / "pids"
    (pid,) = fleet.call("crash", how, [f"{marker}*1"]).to_pylist()
    (dead,) = map(int, lines_of(marker))
    assert pid != dead and not alive(dead)
    eventually("the retry is counted", lambda: fleet.progress("crash").total.retries == before + 1)


@pytest.mark.parametrize(
    ("how", "number", "status", "said"),
    [
        ("signal", signal.SIGSEGV, 0, "ended by SIGSEGV (signal 11)"),
        ("null", signal.SIGSEGV, 0, "ended by SIGSEGV (signal 11)"),
        ("abort", signal.SIGABRT, 0, "ended by SIGABRT (signal 6)"),
        ("exit", 0, 3, "exited with status 3"),
    ],
)
def test_a_batch_that_always_crashes_is_given_up_with_the_cause(fleet, crashing, tmp_path, how, number, status, said):
    marker = tmp_path / "pids"
    error = failure_of(udfleet.InterpreterCrashedError, fleet.call, "crash", how, [f"{marker}*99"])
    assert (error.code, error.function, error.retryable) == ("INTERPRETER_CRASHED", crashing, True)
    assert (error.exit.signal, error.exit.status) == (number, status)
    assert error.exit.peak_rss_bytes > 1 << 20
    assert error.attempt == 3 == len(lines_of(marker)), "udfleet.retry.max-attempts is 3 by default"
    assert f"the interpreter {said.replace('ended', 'was ended')}" in str(error) or said in str(error)
    assert "attempt 3" in str(error) and f"executor {error.executor}" in str(error)
    if how == "exit":
        assert "giving up" in error.exit.last_stderr and "must not exit its interpreter" in error.hint
    if how == "null":
        assert "in crash" in error.exit.last_stderr, "the Python stack of the crash"
    assert fleet.call("crash", how, [f"{marker}*0"]).to_pylist()[0] not in map(int, lines_of(marker)), "replaced"


def test_attempts_are_configured(fleet, tmp_path):
    fleet.register_function("once", udf(crash, [STRING, STRING], BIGINT), config={"udfleet.retry.max-attempts": 1})
    error = failure_of(udfleet.InterpreterCrashedError, fleet.call, "once", "exit", [f"{tmp_path / 'pids'}*99"])
    assert error.attempt == 1 == len(lines_of(tmp_path / "pids"))


def wait_for_release(folder):
    import os
    import time

    with open(f"{folder}/pids", "a") as file:
        file.write(f"{os.getpid()}\n")
    while not os.path.exists(f"{folder}/release"):
        time.sleep(0.005)
    return os.getpid()


def test_killed_from_outside_while_a_batch_runs(fleet, tmp_path):
    fleet.register_function("waits", udf(wait_for_release, STRING, BIGINT))
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.extend(fleet.call("waits", [str(tmp_path)]).to_pylist()))
    caller.start()
    try:
        first = int(eventually("the call runs", lambda: lines_of(tmp_path / "pids"))[0])
        os.kill(first, signal.SIGKILL)
        eventually("it runs again elsewhere", lambda: len(lines_of(tmp_path / "pids")) == 2)
    finally:
        (tmp_path / "release").touch()
        caller.join(30)
    assert answers == [int(lines_of(tmp_path / "pids")[1])] != [first]


def test_open_streams_of_other_functions_go_on(fleet, crashing, tmp_path):
    """Both functions live in the same interpreters: each crash takes batches of the other stream along."""
    fleet.register_function("bystander", udf(lambda a: a + 1, BIGINT, BIGINT))
    answers = fleet.stream("bystander", batches(200, 50))
    got = [next(answers)]
    for round_ in range(3):
        marker = tmp_path / f"pids-{round_}"
        failure_of(udfleet.InterpreterCrashedError, fleet.call, "crash", "signal", [f"{marker}*99"])
        got += [next(answers) for _ in range(10)]
    got += answers
    values = [value for answer in got for value in answer.column(0).to_pylist()]
    assert values == list(range(1, 200 * 50 + 1)), "complete, correct and in order"


def test_an_executor_whose_folder_is_gone_says_so_and_recovers():
    """Interpreters can't be started without their folder, where it can't be made anew: that is tried with pauses, and told
    to whoever calls."""
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("pid", udf(lambda: __import__("os").getpid(), [], BIGINT))
        folder = fleet._processes.folder / "executor-1" / "tmp"
        folder.rename(folder.with_name("away"))
        folder.write_text("in its place")
        os.kill(fleet.call("pid").to_pylist()[0], signal.SIGKILL)
        error = failure_of(udfleet.EnvironmentFailedError, fleet.call, "pid")
        assert "an interpreter's folder in" in str(error) and "disk" in error.hint
        eventually("it is told", lambda: fleet.function("pid").state == "FAILED")
        folder.unlink()
        folder.with_name("away").rename(folder)
        eventually("it is well again", lambda: fleet.function("pid").state == "READY")
        assert len(fleet.call("pid")) == 1
