"""All executors are gone: nothing hangs, and everybody is told why."""

from __future__ import annotations

import json
import os
import re
import signal

import pyarrow as pa
import pytest
from fleet_support import BIGINT, eventually, failure_of, run_cli

import udfleet
from udfleet import udf


@pytest.fixture(scope="module")
def bereft():
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("early", udf(lambda a: a, BIGINT, BIGINT))
        os.kill(fleet.pids["executor-1"], signal.SIGKILL)
        eventually("it is lost", lambda: [e.state for e in fleet.executors()] == ["lost"])
        yield fleet


def test_registering(bereft):
    error = failure_of(
        udfleet.NoCapacityError, bereft.register_function, "late", udf(lambda a: a, BIGINT, BIGINT), timeout=20
    )
    assert "no executor is attached" in str(error) and "udfleet-executor" in error.hint and error.retryable
    assert [view.name for view in bereft.functions()] == ["early"]


@pytest.mark.parametrize("direct", [True, False])
def test_calling(bereft, direct):
    with udfleet.connect(bereft.address, bereft.token, direct=direct) as client:
        error = failure_of(udfleet.NoCapacityError, client.call, "early", [1])
        assert error.function == "early@1" and error.retryable
        assert "the function is not ready: no executor is attached" in str(error) and "udfleet status" in error.hint
        batch = pa.record_batch({"a": pa.array([1], pa.int64())})
        failure_of(udfleet.NoCapacityError, lambda: list(client.stream("early", [batch])))


def test_status_says_why_it_is_pending(bereft):
    done = run_cli(bereft, "status", status=1)
    assert re.search("^executor-1 +lost ", done.stdout, re.M) and re.search("^early@1 +pending ", done.stdout, re.M)
    assert "early@1 is pending: no executor is attached" in done.stderr
    told = json.loads(run_cli(bereft, "status", "--json", status=1).stdout)
    assert [e["state"] for e in told["executors"]] == ["lost"]
    assert [(f["name"], f["state"]) for f in told["functions"]] == [("early", "PENDING")]
    assert "no executor is attached" in told["functions"][0]["reason"]
