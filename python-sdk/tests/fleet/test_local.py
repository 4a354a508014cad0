"""`udfleet.local()` leaves no process behind, however its owner ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading

import pytest
from fleet_support import BIGINT, alive, descendants, eventually, processes_naming

import udfleet
from udfleet import udf

SCRIPT = """
import json, os, signal, sys, time, udfleet
how = sys.argv[1]
fleet = udfleet.local(executors=2, interpreters=1)
fleet.register_function("pid", udfleet.udf(lambda: __import__("os").getpid(), [], "BIGINT"))
fleet.call("pid")
print(json.dumps(str(fleet._processes.folder)), flush=True)
if how == "wait":
    time.sleep(600)
if how == "raise":
    raise RuntimeError("the script fails")
if how == "exit":
    sys.exit(5)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Runs the script. Fleets of this test have their folders in one that no other fleet clears up."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    started = []

    def run(how):
        command = [sys.executable, "-c", SCRIPT, how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        line = process.stdout.readline()
        assert line, process.stderr.read()
        return process, json.loads(line)

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("how", "status"), [("end", 0), ("raise", 1), ("exit", 5)])
def test_a_script_that_does_not_close_its_fleet(start, how, status):
    process, folder = start(how)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert not processes_naming(folder) and not os.path.exists(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_client_that_is_killed(start, number):
    process, folder = start("wait")
    children = descendants(process.pid)
    assert len(children) >= 5, "a coordinator, two executors and an interpreter each"
    process.send_signal(number)
    process.communicate(timeout=30)
    eventually("all of them end", lambda: not {pid for pid in children if alive(pid)})
    assert not processes_naming(folder) and os.path.exists(folder)
    with udfleet.local(executors=1, interpreters=1) as fleet:
        assert not os.path.exists(folder), "the next fleet clears up"
        assert fleet.executors()[0].state == "ready"


def test_a_thread_that_starts_a_fleet_may_end():
    fleets = []
    thread = threading.Thread(target=lambda: fleets.append(udfleet.local(executors=1, interpreters=1)))
    thread.start()
    thread.join(60)
    with fleets[0] as fleet:
        fleet.register_function("neg", udf(lambda a: -a, BIGINT, BIGINT))
        assert fleet.call("neg", [1]).to_pylist() == [-1]
        assert all(alive(pid) for pid in fleet.pids.values())


def test_two_fleets_side_by_side(fleet):
    with udfleet.local(executors=1, interpreters=1) as other:
        assert other.address != fleet.address and other.functions() == []
        assert fleet._processes.folder.exists(), "what lives is left alone"
        fleet.register_function("mine", udf(lambda a: a + 1, BIGINT, BIGINT))
        other.register_function("mine", udf(lambda a: a + 2, BIGINT, BIGINT))
        assert (fleet.call("mine", [1]).to_pylist(), other.call("mine", [1]).to_pylist()) == ([2], [3])
        with pytest.raises(udfleet.UnauthenticatedError):
            udfleet.connect(other.address, token=fleet.token)
        processes = {*other.pids.values(), *(p for pid in other.pids.values() for p in descendants(pid))}
    assert not {pid for pid in processes if alive(pid)}
    assert fleet.call("mine", [1]).to_pylist() == [2]
    with pytest.raises(udfleet.UnreachableError, match="is closed"):
        other.functions()


def test_settings_meant_for_others_do_no_harm(monkeypatch):
    for name in ("UDFLEET_TOKEN", "UDFLEET_LISTEN", "UDFLEET_CONFIG", "UDFLEET_EXECUTOR_CONFIG", "UDFLEET_EXECUTOR_ID"):
        monkeypatch.setenv(name, "nonsense")
    with udfleet.local(executors=1) as fleet:
        assert [executor.state for executor in fleet.executors()] == ["ready"]


@pytest.mark.parametrize("sizes", [{"executors": 0}, {"interpreters": 0}])
def test_a_fleet_of_nothing_is_refused(sizes):
    with pytest.raises(udfleet.InvalidConfigError, match="needs at least one"):
        udfleet.local(**sizes)


def test_what_a_function_has_started_ends_with_its_executor():
    def start():
        import subprocess

        return subprocess.Popen(["sleep", "600"]).pid

    with udfleet.local(executors=1) as fleet:
        fleet.register_function("start", udf(start, [], BIGINT))
        (pid,) = fleet.call("start").to_pylist()
        assert alive(pid)
        os.kill(fleet.pids["executor-1"], signal.SIGKILL)
        eventually("it has ended", lambda: not alive(pid))


def test_a_virtual_environment_whose_base_python_is_not_on_path(tmp_path):
    script = "import udfleet\nwith udfleet.local(executors=1, interpreters=1) as fleet:\n" \
             "    fleet.register_function('one', udfleet.udf(lambda: 1, [], 'BIGINT'))\n" \
             "    assert fleet.call('one').to_pylist() == [1]\n"  # fmt: skip
    environment = {**os.environ, "PATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)
