"""The command line: parsing, refusals, output."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re

import pytest
from click.testing import CliRunner

from udfleet import DataTypes
from udfleet._client.fleet import Fleet
from udfleet._client.views import ExecutorView, FunctionView
from udfleet.cli import loading
from udfleet.cli.main import cli


def view(state: str, reason: str = "") -> FunctionView:
    created = datetime.datetime.now(datetime.timezone.utc)
    return FunctionView(
        "add", 3, state, reason, "PYTHON", "scalar", "general", [DataTypes.BIGINT()], DataTypes.DOUBLE(), True, "3.11",
        [], "0123", {}, "default", "", "", created, [],
    )  # fmt: skip


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(Fleet, "check", lambda self: "0.1.0")
    monkeypatch.setattr(Fleet, "executors", lambda self: [])
    return CliRunner()


def test_functions_for_people_and_programs(run, monkeypatch):
    monkeypatch.setattr(Fleet, "functions", lambda self, all_versions=False: [view("READY")])
    lines = run.invoke(cli, ["functions"]).stdout.splitlines()
    assert lines[1].split("\t")[:3] == ["add@3", "ready", "(BIGINT) -> DOUBLE"]
    (found,) = json.loads(run.invoke(cli, ["functions", "--json"]).stdout)
    assert (found["name"], found["input_types"], found["result_type"]) == ("add", ["BIGINT"], "DOUBLE")


def test_status_says_why_and_fails(run, monkeypatch):
    monkeypatch.setattr(Fleet, "functions", lambda self: [view("FAILED", "no such package: nope")])
    done = run.invoke(cli, ["status"])
    assert done.exit_code == 1 and "add@3 is failed: no such package: nope" in done.stderr
    monkeypatch.setattr(Fleet, "functions", lambda self: [view("READY")])
    assert run.invoke(cli, ["status", "--json"]).exit_code == 0


def test_status_on_a_narrow_terminal_keeps_what_people_copy(monkeypatch, capsys):
    pythons = ["3.8.20", "3.9.1", "3.9.25", "3.10.4", "3.11.2", "3.11.15", "3.12.11", "3.13.5", "3.13.7"]
    executor = ExecutorView(
        "executor-1", "ready", "192.168.100.200:45678", "0.1.0", pythons, 2, 1 << 30, 2, 64, 123 << 20, 0, {}, 1, []
    )
    function = dataclasses.replace(
        view("READY"), name="a_function_with_a_long_name", input_types=[DataTypes.DATE()] * 5
    )
    monkeypatch.setattr(Fleet, "check", lambda self: "0.1.0")
    monkeypatch.setattr(Fleet, "executors", lambda self: [executor])
    monkeypatch.setattr(Fleet, "functions", lambda self: [function])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("UDFLEET_TOKEN", raising=False)
    with pytest.raises(SystemExit, match="0"):
        cli(["status"])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 80
    assert " 192.168.100.200:45678 " in shown and "a_function_with_a_long_name@3 " in shown
    assert re.findall(r"3\.\d+\.?", shown) == ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"], "none twice, none cut"


def test_an_absent_fleet_is_said_with_a_hint():
    done = CliRunner().invoke(cli, ["--address", "127.0.0.1:1", "functions"])
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.startswith("error: UNREACHABLE: no answer from 127.0.0.1:1") and "hint: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "where"),
    [
        (["nope"], "No such command 'nope'.", "udfleet"),
        (["--nope"], "No such option '--nope'", "udfleet"),
        (["register", "m:f"], "Missing option '--name'.", "udfleet register"),
        (["logs", "--tail", "x"], "Invalid value for '--tail'", "udfleet logs"),
        (["call", "f", "-a", "1", "--input", __file__], "give --arg or --input, not both", "udfleet call"),
        (["register", "m", "--name", "f"], "'m' is not of the form module:attr", "udfleet register"),
    ],
)
def test_wrong_usage_is_told_like_every_other_failure(arguments, said, where):
    done = CliRunner().invoke(cli, arguments, prog_name="udfleet")
    assert done.exit_code == 2 and done.stdout == ""
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("error: USAGE: ") and said in first and last == f"hint: see `{where} --help`"


def test_without_a_command_there_is_help():
    done = CliRunner().invoke(cli, [], prog_name="udfleet")
    assert done.exit_code == 2 and done.stderr.startswith("Usage: udfleet") and "error:" not in done.stderr


def test_an_interrupted_command_says_so(run, monkeypatch):
    def interrupted(self, all_versions=False):
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "functions", interrupted)
    done = run.invoke(cli, ["functions"])
    assert done.exit_code == 130 and done.stdout == "" and done.stderr.strip() == "interrupted"


def test_call_takes_values_columns_and_files(run, monkeypatch, tmp_path):
    import pyarrow as pa

    given = []

    def call(self, name, *columns, rows=None, on_error=None):
        given.append((name, [c.to_pylist() if isinstance(c, pa.ChunkedArray) else c for c in columns], rows))
        return pa.array([1, None])

    monkeypatch.setattr(Fleet, "call", call)
    done = run.invoke(cli, ["call", "add", "--arg", "[1, 2]", "--arg", "3", "--arg", "text"])
    assert done.stdout == "1\nnull\n" and given.pop() == ("add", [[1, 2], 3, "text"], None)
    (tmp_path / "in.csv").write_text("a,b\n1,2\n3,4\n")
    run.invoke(cli, ["call", "add", "--input", str(tmp_path / "in.csv"), "--columns", "b,a"])
    assert given.pop() == ("add", [[2, 4], [1, 3]], None)
    target = tmp_path / "out.arrow"
    assert run.invoke(cli, ["call", "one", "--rows", "2", "--output", str(target)]).stdout == ""
    assert loading.read_table(str(target)).column("result").to_pylist() == [1, None]
    assert run.invoke(cli, ["call", "add", "--input", str(target), "--arg", "1"]).exit_code == 2


def test_register_loads_and_passes_everything_on(run, monkeypatch, tmp_path):
    (tmp_path / "cli_module.py").write_text("from udfleet import udf\nadd = udf(lambda a: a, 'INT', 'INT')\nx = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = {}

    def register(self, name, f, environment, config, timeout, on_event, on_error):
        given.update(name=name, f=f, environment=environment, config=config)
        return view("READY")

    monkeypatch.setattr(Fleet, "register_function", register)
    options = ["--name", "add", "--python", "3.12", "-r", "numpy", "--archive", "d.zip#data", "-c", "k=v"]
    done = run.invoke(cli, ["register", "cli_module:add", *options])
    assert done.stdout == "add@3 (BIGINT) -> DOUBLE\n", done.output
    environment = given["environment"]
    assert (environment.python, environment.requirements, environment.archives) == (
        "3.12",
        ["numpy"],
        {"data": "d.zip"},
    )
    assert given["config"] == {"k": "v"} and given["f"](1) == 1
    for target, complaint in [
        ("cli_module:x", "is a int"),
        ("cli_module:y", "no attribute"),
        ("absent_module:y", "no module"),
        ("cli_module", "module:attr"),
    ]:
        done = run.invoke(cli, ["register", target, "--name", "n"])
        assert done.exit_code != 0 and complaint in done.stderr
    done = run.invoke(cli, ["register", "cli_module:add", "--name", "n", "-c", "oops"])
    assert done.exit_code == 2 and "key=value" in done.stderr


def test_the_client_python_is_honoured(run, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda path, args, env: started.append(args))
    monkeypatch.setattr(loading.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr("sys.argv", ["udfleet", "register", "m:f"])
    loading.run_in("python3.x")
    assert started == [["/opt/python3.x", "-m", "udfleet", "register", "m:f"]]
