"""Clients that fork: what the parent has stays usable, and the child is told that it can't use it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from fleet_support import BIGINT

from udfleet import udf

CLIENT = """
import multiprocessing, os, subprocess, sys
import pyarrow as pa, udfleet

def connect():
    return udfleet.connect(os.environ["UDFLEET_ADDRESS"], os.environ["UDFLEET_TOKEN"])

def ends(pid):
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status

def refused(call, *arguments):
    try:
        call(*arguments)
    except udfleet.ForkedProcessError as error:
        assert not error.retryable and "spawn" in error.hint and error.code == "UNREACHABLE"
    else:
        os._exit(3)

batch = pa.record_batch({"a": [1, 2]})
"""


@pytest.fixture(scope="module", autouse=True)
def twice(fleet) -> None:
    fleet.register_function("doubled", udf(lambda a: 2 * a, BIGINT, BIGINT))


def run(fleet, code: str) -> None:
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token}
    command = [sys.executable, "-c", CLIENT + textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)


def test_a_child_of_a_connected_process(fleet):
    """It ends as any process does, with what it inherited closed, dropped and left open."""
    run(
        fleet,
        """
        fleet = connect()
        exchange, stream, closed = fleet.exchange("doubled"), fleet.stream("doubled", [batch] * 100), connect()
        exchange.call(batch), next(stream), closed.call("doubled", [1])
        pid = os.fork()
        if pid == 0:
            for call in (connect, fleet.functions, lambda: fleet.call("doubled", [1]), lambda: exchange.call(batch)):
                refused(call)
            refused(next, stream)
            refused(lambda: fleet.from_arrow(batch).select("doubled(a)").to_arrow())
            closed.close()
            del exchange, stream
            sys.exit(0)
        ends(pid)
        assert exchange.call(batch).to_pylist() == [2, 4] and fleet.call("doubled", [3]).to_pylist() == [6]
        assert len(list(stream)) == 99 and closed.call("doubled", [1]).to_pylist() == [2]
        """,
    )


def test_workers_of_multiprocessing(fleet):
    run(
        fleet,
        """
        def works(number):
            return fleet.call("doubled", [number]).to_pylist()

        fleet = connect()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            refused(pool.map, works, range(4))
        assert works(1) == [2]
        """,
    )


def test_a_child_of_a_process_that_never_connected(fleet):
    run(
        fleet,
        """
        import udfleet._client.fleet
        pid = os.fork()
        if pid == 0:
            with connect() as fleet:
                assert fleet.call("doubled", [3]).to_pylist() == [6]
            sys.exit(0)
        ends(pid)
        with connect() as fleet:
            assert fleet.call("doubled", [3]).to_pylist() == [6]
        """,
    )


def test_programs_that_are_started_with_a_function_before_them(fleet):
    """gRPC's handlers of forks abort one in fifty of them."""
    run(
        fleet,
        """
        fleet = connect()
        for number in range(200):
            if number % 20 == 0:
                fleet.call("doubled", [1])
            assert subprocess.run(["true"], preexec_fn=lambda: None).returncode == 0
        assert "GRPC_ENABLE_FORK_SUPPORT" not in os.environ
        """,
    )


def test_a_child_leaves_a_local_fleet_alone(tmp_path):
    code = """
    import os, sys, udfleet
    with udfleet.local(executors=1, interpreters=1) as fleet:
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert [executor.state for executor in fleet.executors()] == ["ready"]
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
