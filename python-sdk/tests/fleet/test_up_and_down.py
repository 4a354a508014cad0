"""`udfleet up` and `udfleet down`: fleets on this machine, in the foreground and left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_support import alive, descendants, eventually

import udfleet
from udfleet import _fleet_record as record


@pytest.fixture
def up():
    """A fleet as `udfleet up` starts it; the command and the address that it prints."""
    command = [
        sys.executable,
        "-m",
        "udfleet",
        "up",
        "-n",
        "1",
        "--listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("UDFLEET_") or "BIN" in key}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        assert line.startswith("export UDFLEET_ADDRESS=127.0.0.1:"), (line, process.poll())
        yield process, line.strip().partition("=")[2]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_until_told_to_stop(up, number):
    process, address = up
    with udfleet.connect(address) as fleet:
        fleet.register_function("neg", udfleet.udf(lambda a: -a, "BIGINT", "BIGINT"))
        assert fleet.call("neg", [1]).to_pylist() == [-1]
    started = descendants(process.pid)
    assert len(started) >= 3, "a coordinator, an executor and an interpreter"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0 and stdout == ""
    assert "starting the coordinator" in stderr and f'udfleet.connect("{address}")' in stderr
    assert stderr.rstrip().endswith("stopping") and "Traceback" not in stderr
    assert not {pid for pid in started if alive(pid)}


def test_up_ends_when_a_process_of_it_is_lost(up):
    process, address = up
    started = descendants(process.pid)
    with udfleet.connect(address) as fleet:
        (executor,) = fleet.executors()
    (victim,) = (pid for pid in started if f"--id\0{executor.id}" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(victim, signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1 and "error: STARTUP: executor-1 ended unexpectedly" in stderr
    eventually("nothing is left", lambda: not {pid for pid in started if alive(pid)})


def test_up_and_left_running():
    command = [sys.executable, "-m", "udfleet", "up", "--detach", "-n", "1", "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "UDFLEET_TOKEN": "a-token-of-some-length"}
    done = subprocess.run(
        [*command, "--http-listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60, env=environment
    )
    address = done.stdout.strip().partition("export UDFLEET_ADDRESS=")[2]
    pid = record.find(address).pid
    started = {pid} | descendants(pid)
    try:
        assert done.returncode == 0 and len(started) == 3, "itself, a coordinator and an executor"
        assert f'udfleet.connect("{address}")' in done.stderr
        with udfleet.connect(address, "a-token-of-some-length") as fleet:
            fleet.register_function("neg", udfleet.udf(lambda a: -a, "BIGINT", "BIGINT"))
            assert fleet.call("neg", [1]).to_pylist() == [-1]
        started |= descendants(pid)
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually("nothing is left", lambda: not {pid for pid in started if alive(pid)})


def test_up_makes_a_token_and_only_its_user_finds_it(up, tmp_path):
    process, address = up
    command = [sys.executable, "-m", "udfleet", "--address", address]

    def run(*arguments, **variables):
        environment = {**os.environ, **variables}
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, env=environment)

    assert run("status").returncode == 0
    strange = run("status", XDG_STATE_HOME=str(tmp_path))
    assert strange.returncode == 1 and strange.stderr.startswith("error: UNAUTHENTICATED: ")
    made = run("token", "create", "ci", "--role", "observe")
    token = made.stdout.strip()
    assert made.returncode == 0 and token.startswith("udfleet.ci.")
    file = tmp_path / "ci"
    file.write_text(token)
    assert run("--token-file", str(file), "status", XDG_STATE_HOME=str(tmp_path)).returncode == 0
    denied = run("drop", "f", UDFLEET_TOKEN=token)
    assert denied.returncode == 1 and denied.stderr.startswith("error: PERMISSION_DENIED: ")
    (listed,) = json.loads(run("token", "list", "--json").stdout)
    assert (listed["name"], listed["state"]) == ("ci", "valid") and token not in str(listed)
    assert run("token", "revoke", "ci").returncode == 0
    revoked = run("status", UDFLEET_TOKEN=token)
    assert revoked.returncode == 1 and "revoked" in revoked.stderr
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in {process.pid} | descendants(process.pid)]
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    (shown,) = re.findall(r"^ {4}([0-9a-f]{64})$", said, re.MULTILINE)
    assert not any(shown in command for command in commands)


def test_down_stops_what_up_has_started(tmp_path):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    environment.pop("UDFLEET_TOKEN", None)

    def udfleet_command(*arguments):
        command = [sys.executable, "-m", "udfleet", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)

    up = ["up", "--detach", "-n", "1", "--http-listen", "127.0.0.1:0", "--listen"]
    done = udfleet_command(*up, "127.0.0.1:0")
    address = done.stdout.strip().partition("export UDFLEET_ADDRESS=")[2]
    assert done.returncode == 0 and f"stop it with: udfleet --address {address} down" in done.stderr
    (file,) = (tmp_path / "udfleet" / "fleets").glob("*.json")
    pid = json.loads(file.read_text())["pid"]
    started = {pid} | descendants(pid)
    try:
        second = udfleet_command(*up, address)
        assert second.returncode == 1 and f"error: STARTUP: a fleet runs at {address} already" in second.stderr
        assert f"hint: use it, or stop it with `udfleet --address {address} down`" in second.stderr
        absent = udfleet_command("--address", "127.0.0.1:1", "down")
        assert absent.returncode == 1 and f"hint: these run: {address}; " in absent.stderr
        assert all(map(alive, started))
        done = udfleet_command("--address", address, "down")
        assert done.returncode == 0 and done.stderr == f"the fleet at {address} has stopped\n"
        eventually("nothing is left", lambda: not any(map(alive, started)))
        assert not file.exists()
        assert udfleet_command("down", "--all").stderr == "no fleet of `udfleet up` runs on this machine\n"
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_killed_fleet_is_not_taken_for_running(up, tmp_path):
    process, address = up
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    command = [sys.executable, "-m", "udfleet", "--address", address, "down"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"no fleet of `udfleet up` runs at {address}" in done.stderr


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_up_on_a_port_that_is_taken(fleet, detach):
    command = [sys.executable, "-m", "udfleet", "up", *detach, "--listen", fleet.address]
    command += ["--http-listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    assert "STARTUP: coordinator ended with status" in done.stderr and fleet.address in done.stderr
    assert "\nhint: something listens there already" in done.stderr
