"""Values of secrets are told nowhere: output, errors, logs, metrics, profiles, registry, files, settings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import eventually, run_cli

import udfleet
from udfleet import DataTypes, ScalarFunction, udf
from udfleet._local import binaries

# Reversed: payloads hold no text of this file's that is the value.
HIDDEN = "nedlof-t3rc3s-eht"[::-1]


@pytest.fixture(scope="module")
def fleet() -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=1, interpreters=1, secrets={"API_KEY": HIDDEN}) as running:
        yield running


def registered(fleet, name, function, **options):
    fleet.register_function(name, function, secrets=["API_KEY"], **options)
    return name


@udf(result_type=DataTypes.STRING())
def prints(how: str) -> str:
    value = os.environ["API_KEY"]
    if how == "in pieces":
        for piece in ("begin ", value[:5], value[5:], "\n"):
            os.write(1, piece.encode())
    elif how == "long line":
        os.write(2, b"x" * (16384 - 7) + value.encode() + b"y" * 100 + b"\n")
    elif how == "many":
        os.write(1, (value + "\n").encode() * 3000)
    os.write(1, f"done {how}\n".encode())
    return how


@udf(result_type=DataTypes.STRING())
def raises(how: str) -> str:
    value = os.environ["API_KEY"]
    if how == "message":
        raise ValueError(f"raised {value}")
    if how == "cut":
        raise ValueError("x" * (4096 - 8) + value + "y" * 100)
    if how == "often":
        raise ValueError(value * 1000)
    if how == "cause":
        try:
            raise KeyError(value)
        except KeyError as error:
            raise RuntimeError("outer") from error
    if how == "class":
        raise type(value, (Exception,), {})("of that name")
    if how == "crash":
        os.write(2, f"last words {value}\n".encode())
        os._exit(7)
    return how


@udf(result_type=DataTypes.BIGINT())
def wrong_result(how: str) -> int:
    return os.environ["API_KEY"]  # type: ignore[return-value]


class Counts(ScalarFunction):
    def open(self, context):
        group = context.get_metric_group().add_group("of", os.environ["API_KEY"])
        self.counter = group.counter("count" + os.environ["API_KEY"])

    def eval(self, x: str) -> str:
        self.counter.inc()
        return x


class OpensNot(ScalarFunction):
    def open(self, context):
        raise ValueError("opened with " + os.environ["API_KEY"])

    def eval(self, x: str) -> str:
        return x


def output(fleet, name: str, *ends: str) -> str:
    """What it has printed, once that holds all of `ends`."""

    def printed() -> str:
        text = "".join(line.text for line in fleet.logs(name))
        return text if all(end in text for end in ends) else ""

    return eventually(f"{ends} are printed", printed)


@pytest.mark.parametrize("how", ["in pieces", "long line", "many"])
def test_values_are_masked_in_output(fleet, how):
    name = registered(fleet, "prints_" + how.replace(" ", "_"), prints)
    fleet.call(name, [how])
    expected = {"in pieces": "begin ***", "long line": "x***y", "many": "***"}[how]
    text = output(fleet, name, f"done {how}", expected)
    assert HIDDEN not in text and HIDDEN[:6] not in text


@pytest.mark.parametrize("how", ["message", "cut", "often", "cause", "class", "crash"])
def test_values_are_masked_in_errors(fleet, how):
    name = registered(fleet, "raises_" + how, raises)
    with pytest.raises(udfleet.UdfleetError) as raised:
        fleet.call(name, [how])
    told = str(raised.value) + repr(raised.value) + repr(vars(raised.value)) + repr(raised.value.__cause__)
    assert HIDDEN[:6] not in told
    assert "***" in told or how == "cut"


def test_values_are_masked_in_errors_of_results_loads_and_rows(fleet):
    name = registered(fleet, "wrong_result", wrong_result)
    with pytest.raises(udfleet.UdfleetError, match=r"\*\*\*") as raised:
        fleet.call(name, ["x"])
    assert HIDDEN not in str(raised.value) + repr(vars(raised.value))
    with pytest.raises(udfleet.UdfleetError, match=r"\*\*\*") as raised:
        registered(fleet, "opens_not", udf(OpensNot(), result_type=DataTypes.STRING()))
    assert HIDDEN not in str(raised.value)
    name = registered(fleet, "rows", raises, on_error="null")
    assert fleet.call(name, ["message", "fine"]).to_pylist() == [None, "fine"]
    told = eventually("the error is told", lambda: run_cli(fleet, "errors", "rows").stdout.strip())
    assert "***" in told and HIDDEN not in told


def test_values_are_in_no_metric_profile_or_view(fleet):
    name = registered(
        fleet, "counts", udf(Counts(), result_type=DataTypes.STRING()), config={"python.profile.enabled": True}
    )
    fleet.call(name, ["x"] * 100)
    eventually("the metric is told", lambda: "count***" in run_cli(fleet, "progress", "--json").stdout)
    for command in (
        ["status", "--json"],
        ["functions", "--json"],
        ["progress", "--json"],
        ["profile", "counts", "--json"],
    ):
        done = run_cli(fleet, *command)
        assert HIDDEN not in done.stdout + done.stderr, command
    assert HIDDEN not in repr(fleet.functions()) + repr(fleet.executors()) + repr(vars(fleet.progress("counts")))
    assert fleet.function("counts").secrets == ["API_KEY"]


def test_values_are_in_no_file_but_those_for_their_owner(fleet):
    registered(fleet, "held", raises)
    root, seen = fleet._processes.folder, []
    for path in (path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        if HIDDEN.encode() in path.read_bytes():
            seen.append(path)
            assert path.name == "API_KEY" and path.parent.name == "secrets", path
            assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o077 == 0, path
    assert len(seen) >= 2, "the given one, and that of an interpreter"
    for artifact in (path for path in root.rglob("artifacts/**/*") if path.is_file()):
        assert artifact.stat().st_mode & 0o077 == 0, artifact


def test_settings_that_are_dumped_name_the_folder_only(tmp_path):
    (tmp_path / "API_KEY").write_text(HIDDEN)
    executor = str(binaries.find_folder() / binaries.EXECUTOR)
    done = subprocess.run(
        [executor, "--secrets-dir", str(tmp_path), "--coordinator", "127.0.0.1:1", "--dump-config"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert str(tmp_path) in done.stdout and HIDDEN not in done.stdout + done.stderr


def test_a_folder_that_functions_may_read_is_refused():
    executor = str(binaries.find_folder() / binaries.EXECUTOR)
    done = subprocess.run(
        [executor, "--secrets-dir", "/usr/share", "--coordinator", "127.0.0.1:1", "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0 and "secrets_dir" in done.stderr


def test_up_takes_values_from_its_surroundings(tmp_path):
    (tmp_path / "file").write_text("from-a-file\n")
    environment = {**os.environ, "FROM_HERE": HIDDEN}
    environment.pop("UDFLEET_ADDRESS", None)
    command = [sys.executable, "-m", "udfleet", "up", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    command += [
        "--executors",
        "1",
        "--interpreters",
        "1",
        "--secret",
        "FROM_HERE",
        "--secret",
        f"FILED={tmp_path}/file",
    ]
    up = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**environment, "UDFLEET_TOKEN": "t" * 40},
    )
    try:
        address = up.stdout.readline().strip().partition("=")[2]
        with udfleet.connect(address, "t" * 40) as fleet:
            fleet.register_function("given", VARIABLE, secrets=["FROM_HERE", "FILED"])
            assert fleet.call("given", ["FROM_HERE", "FILED"]).to_pylist() == [HIDDEN, "from-a-file"]
        arguments = [arguments_of(pid) for pid in os.listdir("/proc") if pid.isdigit()]
        assert not any(HIDDEN.encode() in line for line in arguments)
    finally:
        up.terminate()
        up.wait(30)
        up.stdout.close()


def arguments_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


@udf(result_type=DataTypes.STRING())
def VARIABLE(name: str) -> str:
    return os.environ.get(name, "")
