"""Small calls that have to wait for an interpreter go there together; nobody notices but the metrics."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fleet_support import BIGINT, STRING, eventually, failure_of, lines_of

import udfleet
from udfleet import udf

CALLS, ROWS = 24, 256


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.01)
    return path


def reciprocal(value):
    return 1000 // (value - 77)


@pytest.fixture(scope="module")
def one():
    """A fleet with one interpreter."""
    with udfleet.local(executors=1, interpreters=1, max_interpreters=1) as fleet:
        fleet.register_function("wait_for", udf(wait_for, STRING, STRING))
        yield fleet


def at_once(fleet, name, columns, folder):
    """Calls with all columns while the only interpreter is busy; what each call gives or raises."""
    gate = folder / "open"
    with ThreadPoolExecutor(len(columns) + 8) as threads:
        # More than an interpreter is sent ahead.
        busy = [threads.submit(fleet.call, "wait_for", [str(gate)]) for _ in range(8)]
        try:
            eventually("it is busy", lambda: fleet.progress("wait_for").total.in_flight == len(busy))
            calls = [threads.submit(fleet.call, name, column) for column in columns]
            eventually("all wait", lambda: fleet.progress(name).total.in_flight == len(columns))
        finally:
            gate.touch()
        return calls


def columns():
    return [list(range(1000 * call + 100, 1000 * call + 100 + ROWS)) for call in range(CALLS)]


def test_they_are_merged_and_split_again(one, tmp_path):
    one.register_function("shifted", udf(lambda a: None if a % 7 == 0 else a + 1, BIGINT, BIGINT))
    calls = at_once(one, "shifted", columns(), tmp_path)
    for column, call in zip(columns(), calls, strict=True):
        assert call.result().to_pylist() == [None if a % 7 == 0 else a + 1 for a in column]
    total = one.progress("shifted").total
    assert (total.calls, total.rows, total.errors) == (CALLS, CALLS * ROWS, 0)
    assert total.merged == CALLS


def test_a_row_that_fails_fails_its_own_call(one, tmp_path):
    one.register_function("reciprocal", udf(reciprocal, BIGINT, BIGINT))
    given = columns()
    given[5][9] = 77
    calls = at_once(one, "reciprocal", given, tmp_path)
    error = failure_of(udfleet.UserCodeError, calls[5].result)
    assert (error.row, error.function) == (9, "reciprocal@1") and "ZeroDivisionError" in str(error)
    for column, call in zip(given[:5] + given[6:], calls[:5] + calls[6:], strict=True):
        assert call.result().to_pylist() == list(map(reciprocal, column))
    assert one.progress("reciprocal").total.errors == 1


def test_what_may_not_be_repeated_is_called_alone(one, tmp_path):
    one.register_function("alone", udf(lambda a: a, BIGINT, BIGINT, deterministic=False))
    calls = at_once(one, "alone", columns(), tmp_path)
    assert [call.result().to_pylist() for call in calls] == columns()
    assert one.progress("alone").total.merged == 0


def forever(path):
    import os

    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(1e9)


def test_one_that_waits_alone_is_tried_as_often_as_any(one, tmp_path):
    one.register_function("forever", udf(forever, STRING, STRING), config={"udfleet.call.timeout": 400})
    (call,) = at_once(one, "forever", [[str(tmp_path / "pids")]], tmp_path)
    error = failure_of(udfleet.CallTimeoutError, call.result)
    assert error.attempt == 1 and len(lines_of(tmp_path / "pids")) == 1
