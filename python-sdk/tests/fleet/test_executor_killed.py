"""An executor is killed under a stream: what it has not answered is answered by the others, complete and in order."""

from __future__ import annotations

import os
import signal

import pytest
from fleet_support import BIGINT, batches, eventually

import udfleet
from udfleet import udf

BATCHES, ROWS, KILLED_AT = 300, 200, 60
SHIFT = 1 << 32


def shifted_with_executor(a):
    """The value, and the pid of the executor that owns this interpreter."""
    import os

    return a * (1 << 32) + os.getppid()


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "through the coordinator"])
def test_a_stream_outlives_one_of_two_executors(direct):
    with udfleet.local(executors=2, interpreters=1, direct=direct) as fleet:
        fleet.register_function("shifted", udf(shifted_with_executor, BIGINT, BIGINT))
        executors = {pid for name, pid in fleet.pids.items() if name != "coordinator"}
        answers = []
        killed = 0
        for answer in fleet.stream("shifted", batches(BATCHES, ROWS)):
            answers.append(answer.column(0).to_pylist())
            if len(answers) == KILLED_AT:
                killed = answers[-1][0] % SHIFT
                assert killed in executors
                os.kill(killed, signal.SIGKILL)
        assert [value // SHIFT for values in answers for value in values] == list(range(BATCHES * ROWS))
        assert {len(values) for values in answers} == {ROWS}
        served = [values[0] % SHIFT for values in answers]
        assert {*served[KILLED_AT + 40 :]} == executors - {killed}, "the other one takes over"
        assert fleet.call("shifted", [1, 2]).to_pylist() == [SHIFT + served[-1], 2 * SHIFT + served[-1]]


def test_a_call_that_runs_once_is_not_lost_with_a_kept_stream():
    with udfleet.local(executors=2, interpreters=1) as fleet:
        executor_of = udf(shifted_with_executor, BIGINT, BIGINT, deterministic=False)
        fleet.register_function("where", executor_of)
        (killed,) = fleet.call("where", [0]).to_pylist()
        os.kill(killed, signal.SIGKILL)
        eventually("the loss is known", lambda: "lost" in [e.state for e in fleet.executors()])
        (serving,) = fleet.call("where", [0]).to_pylist()
        assert serving in fleet.pids.values() and serving != killed
