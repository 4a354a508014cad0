"""A call that never ends is killed at its deadline, wherever it hangs."""

from __future__ import annotations

import time

import pytest
from fleet_support import BIGINT, STRING, alive, batches, failure_of, lines_of

import udfleet
from udfleet import udf

TIMEOUT_MS = 400


def endless(how, marker):
    import os
    import re
    import time

    with open(marker, "a") as file:
        file.write(f"{os.getpid()}\n")
    if how == "loop":
        while True:
            pass
    if how == "sleep":
        time.sleep(1e9)
    if how == "regex":
        re.match(r"(a+)+$", "a" * 64 + "b")
    if how == "power":
        return len(str(7**7**9))
    if how == "deaf":
        while True:
            try:
                time.sleep(1e9)
            except BaseException:
                pass
    return os.getpid()


@pytest.mark.parametrize("how", ["loop", "sleep", "regex", "power", "deaf"])
def test_killed_at_the_deadline(fleet, tmp_path, how):
    config = {"udfleet.call.timeout": TIMEOUT_MS}
    view = fleet.register_function("endless", udf(endless, [STRING, STRING], BIGINT), config=config)
    marker = tmp_path / "pids"
    start = time.monotonic()
    error = failure_of(udfleet.CallTimeoutError, fleet.call, "endless", how, [str(marker)])
    assert 0.9 * TIMEOUT_MS / 1000 < time.monotonic() - start < 10
    assert (error.code, error.function, error.attempt) == ("CALL_TIMEOUT", view.reference, 1)
    assert "ran longer than 400 ms and was killed" in str(error) and "udfleet.call.timeout" in error.hint
    (pid,) = map(int, lines_of(marker))
    assert not alive(pid) and error.executor and not error.retryable
    (replacement,) = fleet.call("endless", "fine", [str(marker)]).to_pylist()
    assert replacement != pid and alive(replacement)


def test_streams_of_other_functions_go_on(fleet, tmp_path):
    fleet.register_function("neighbour", udf(lambda a: a * 2, BIGINT, BIGINT))
    fleet.register_function(
        "hangs", udf(endless, [STRING, STRING], BIGINT), config={"udfleet.call.timeout": TIMEOUT_MS}
    )
    answers = fleet.stream("neighbour", batches(100, 20))
    got = [next(answers)]
    failure_of(udfleet.CallTimeoutError, fleet.call, "hangs", "sleep", [str(tmp_path / "pids")])
    got += answers
    assert [v for answer in got for v in answer.column(0).to_pylist()] == [2 * v for v in range(2000)]
