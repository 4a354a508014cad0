"""Tables about the fleet over Flight, and the commands that read them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pyarrow.flight as flight
import pytest
from fleet_support import BIGINT, eventually, failure_of

import udfleet
from udfleet import udf
from udfleet._proto.udfleet.v1 import function_pb2


def double(value):
    return value * 2


def broken(value):
    raise ValueError(f"no {value}")


@pytest.fixture(scope="module")
def fleet():
    with udfleet.local(executors=2, interpreters=1) as started:
        started.register_function("double", udf(double, BIGINT, BIGINT))
        started.register_function(
            "broken", udf(broken, BIGINT, BIGINT), environment=udfleet.Environment(env={"KEY": "v"})
        )
        assert started.call("double", [1, 2, 3]).to_pylist() == [2, 4, 6]
        failure_of(udfleet.UserCodeError, started.call, "broken", [7])
        yield started


def rows(fleet, table):
    return fleet.system_table(table).to_pylist()


def test_tables_tell_what_the_fleet_is_and_does(fleet):
    eventually("calls are counted", lambda: [r for r in rows(fleet, "functions") if r["calls"]])
    functions = {row["function"]: row for row in rows(fleet, "functions")}
    assert functions["double@1"]["state"] == "READY" and functions["double@1"]["ready_on"] == 2
    assert {row["executor"]: row["state"] for row in rows(fleet, "executors")} == {
        "executor-1": "ready",
        "executor-2": "ready",
    }
    calls = eventually("each call is counted", lambda: [r for r in rows(fleet, "calls") if r["function"] == "double@1"])
    assert sum(row["rows"] for row in calls) == 3 and {row["executor"] for row in calls} <= {"executor-1", "executor-2"}
    (error,) = eventually("the failure is told", lambda: rows(fleet, "errors"))
    assert (error["function"], error["code"], error["exception"], error["count"]) == (
        "broken@1",
        "USER_CODE",
        "ValueError",
        1,
    )
    assert "in broken" in error["traceback"] and error["executors"][0].startswith("executor-")
    events = rows(fleet, "events")
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert {"coordinator_started", "function_registered", "function_ready"} <= {event["event"] for event in events}
    middle = events[len(events) // 2]["id"]
    assert [event["id"] for event in rows(fleet, f"events?after={middle}")] == list(range(middle + 1, len(events) + 1))
    environments = [row for row in rows(fleet, "environments") if "double@1" in row["functions"]]
    assert [row["state"] for row in environments] == ["built"] and len(environments[0]["built_on"]) == 2
    assert rows(fleet, "waiting") == []


def test_what_is_no_table_is_refused(fleet):
    for name in ("nothing", "", "events?after=x", "calls?after=1", "functions; drop"):
        assert failure_of(udfleet.InvalidInputError, fleet.system_table, name).code == "INVALID_INPUT"


def test_any_flight_client_with_the_role_reads_them(fleet):
    def read(secret: str) -> int:
        client = flight.FlightClient(f"grpc+tcp://{fleet.address}")
        options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {secret}".encode())])
        try:
            return client.do_get(flight.Ticket(b"system.functions"), options).read_all().num_rows
        finally:
            client.close()

    observer = fleet.create_token("observer", roles=["observe"])
    assert read(observer.token) == 2
    caller = fleet.create_token("caller", roles=["call"])
    with pytest.raises(flight.FlightUnauthorizedError):
        read(caller.token)
    with pytest.raises(flight.FlightUnauthenticatedError):
        read("wrong")


@pytest.fixture
def cli(fleet, tmp_path):
    def run(*arguments, status=0):
        environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token}
        command = [sys.executable, "-m", "udfleet", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def columns(line):
    return re.split(" {2,}", line.strip())


def test_top(fleet, cli):
    fleet.call("double", list(range(10)))
    eventually("calls are counted", lambda: [r for r in rows(fleet, "functions") if r["calls"]])
    lines = cli("top").stdout.splitlines()
    assert lines[0].startswith("2 executors, ")
    table = [columns(line) for line in lines]
    assert ["executor-1", "ready"] in [line[:2] for line in table] and ["double@1", "ready"] in [
        line[:2] for line in table
    ]
    told = json.loads(cli("top", "--json", "-n", "1", "--sort", "rows").stdout)
    assert len(told["functions"]) == 1 and len(told["executors"]) == 2


def test_why(cli):
    assert "nothing waits" in cli("why").stderr
    assert "nothing keeps double waiting" in cli("why", "double").stderr
    assert json.loads(cli("why", "--json").stdout) == []
    assert "FUNCTION_NOT_FOUND" in cli("why", "nothing", status=1).stderr


def test_events(fleet, cli):
    lines = cli("events", "--subject", "double").stdout.splitlines()
    assert [line.split()[3].rstrip(":") for line in lines][:1] == ["function_registered"]
    (last,) = cli("events", "-n", "1", "--json").stdout.splitlines()
    assert json.loads(last)["id"] == rows(fleet, "events")[-1]["id"]

    def failing():
        # What an executor counted in the second in which it attached is of no rate, and so of no event.
        failure_of(udfleet.UserCodeError, fleet.call, "broken", [7])
        return cli("events", "--severity", "error").stdout.splitlines()

    (told,) = eventually("failing calls are an event", failing)
    assert "calls of broken@1 began to fail" in told


def test_events_follow(fleet):
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token}
    command = [sys.executable, "-m", "udfleet", "events", "--follow", "-n", "1", "--json"]
    follower = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["id"] > 0, "it has begun"
        fleet.register_function("later", udf(double, BIGINT, BIGINT))
        while (event := json.loads(follower.stdout.readline()))["event"] != "function_ready":
            pass
        assert event["subject"] == "later@1"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 130
    finally:
        follower.kill()
        follower.communicate()
        fleet.drop_function("later")


def test_environments(fleet, cli):
    shown = [columns(line) for line in cli("env", "ls").stdout.splitlines()]
    assert shown[0][:2] == ["ENV", "STATE"] and {line[1] for line in shown[1:]} == {"built"}
    told = cli("env", "show", "double").stdout
    assert "built on      executor-1, executor-2" in told
    (row,) = [row for row in json.loads(cli("env", "ls", "--json").stdout) if "double@1" in row["functions"]]
    assert json.loads(cli("env", "show", row["environment"], "--json").stdout) == row
    assert "INVALID_INPUT" in cli("env", "show", "nothing", status=1).stderr


def test_a_support_bundle_has_all_of_it_and_no_secret(fleet, cli, tmp_path):
    said = cli("support-bundle", "bundle.zip").stderr
    assert "bundle.zip" in said
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        parts = {name: json.loads(bundle.read(name)) for name in bundle.namelist()}
    assert {"about.json", "functions.json", "executors.json", "logs.json", "tables/events.json"} <= set(parts)
    assert parts["about.json"]["missing"] == {} and parts["about.json"]["coordinator"]["version"]
    (function,) = [one for one in parts["functions.json"] if one["name"] == "broken"]
    assert function["env"] == {"KEY": "(left out)"}
    assert fleet.token not in json.dumps(parts)
    assert (tmp_path / "bundle.zip").stat().st_mode & 0o77 == 0
    assert "INVALID_INPUT" in cli("support-bundle", "bundle.zip", status=1).stderr, "nothing is overwritten"


def asked(fleet, path):
    request = urllib.request.Request(
        f"http://{fleet.http_address}/api/v1/{path}", headers={"Authorization": f"Bearer {fleet.token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_what_building_an_environment_prints_is_kept(fleet):
    package = "no-such-package-of-nobody"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    bad = udfleet.Environment(python, requirements=[f"{package}==9.9"])
    with contextlib.suppress(udfleet.UdfleetError):
        fleet.register_function("unbuilt", udf(double, BIGINT, BIGINT), environment=bad)
    # Its name is the hash of its content: the table has it only as long as the build takes, and that is short.
    canonical = function_pb2.Environment(python=python, requirements=bad.requirements).SerializeToString()
    environment = hashlib.sha256(canonical).hexdigest()[:16]
    eventually(
        "its lines come", lambda: [line for line in asked(fleet, f"builds/{environment}") if package in line["text"]]
    )
    lines = asked(fleet, f"builds/{environment}?tail=500")
    assert {line["stream"] for line in lines} == {"build"} and {line["function"] for line in lines} == {environment}
    assert asked(fleet, "builds/0123456789abcdef") == [], "of what was never built nothing is kept"
    assert not any(package in line.text for line in fleet.logs()), "they are no output of functions"


def history(fleet, series):
    """Rows a second, as far as they are known; empty too while the coordinator has not looked at the function yet."""
    try:
        fields = asked(fleet, f"history?series={series}")["fields"]
    except urllib.error.HTTPError:
        return []
    return next((field["values"] for field in fields if field["name"] == "rows"), [])


def test_history_and_events_outlive_the_coordinator():
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("double", udf(double, BIGINT, BIGINT))

        def seen() -> bool:
            fleet.call("double", list(range(1000)))
            return any(value for value in history(fleet, "function:double@1"))

        eventually("calls are in the history", seen)
        before = rows(fleet, "events")
        processes = fleet._processes
        coordinator = next(child for child in processes.children if child.name == "coordinator")
        os.kill(coordinator.pid, signal.SIGTERM)
        coordinator.reap()
        processes.children.remove(coordinator)
        kept = Path(processes.folder) / "data" / "history"
        assert kept.stat().st_mode & 0o77 == 0
        processes._start_coordinator(processes.address, processes.http_address, None)
        assert any(value for value in history(fleet, "function:double@1")), "it goes on where it was"
        after = eventually("it has started", lambda: (found := rows(fleet, "events"))[len(before) :] and found)
        assert after[: len(before)] == before
        assert next(event["event"] for event in after if event["id"] > before[-1]["id"]) == "coordinator_started"
