"""The command line: parsing, refusals, output."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from udfleet import DataTypes
from udfleet._client.fleet import Fleet
from udfleet._client.tenants import TenantLimits, TenantView
from udfleet._client.views import ExecutorView, FunctionView
from udfleet.cli import files, loading, tables
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
    monkeypatch.setattr(Fleet, "meta_store_outage", "")
    monkeypatch.setattr(Fleet, "certificate_ends", None)
    monkeypatch.setattr(Fleet, "tenants", lambda self: [])
    return CliRunner()


def test_functions_for_people_and_programs(run, monkeypatch):
    monkeypatch.setattr(Fleet, "functions", lambda self, all_versions=False: [view("READY")])
    lines = run.invoke(cli, ["functions"]).stdout.splitlines()
    assert re.split(" {2,}", lines[1])[:3] == ["add@3", "ready", "(BIGINT) -> DOUBLE"]
    (found,) = json.loads(run.invoke(cli, ["functions", "--json"]).stdout)
    assert (found["name"], found["input_types"], found["result_type"]) == ("add", ["BIGINT"], "DOUBLE")


def test_status_says_why_and_fails(run, monkeypatch):
    monkeypatch.setattr(Fleet, "functions", lambda self: [view("FAILED", "no such package: nope")])
    done = run.invoke(cli, ["status"])
    assert done.exit_code == 1 and "add@3 is failed: no such package: nope" in done.stderr
    monkeypatch.setattr(Fleet, "functions", lambda self: [view("READY")])
    assert run.invoke(cli, ["status", "--json"]).exit_code == 0


def test_status_tells_of_a_metadata_store_that_is_away(run, monkeypatch):
    monkeypatch.setattr(Fleet, "functions", lambda self: [view("READY")])
    monkeypatch.setattr(Fleet, "meta_store_outage", "etcd at h:2379: no answer in time (for 7 s)")
    done = run.invoke(cli, ["status"])
    assert done.exit_code == 1 and "h:2379" in done.stderr
    done = run.invoke(cli, ["status", "--json"])
    assert done.exit_code == 1 and "h:2379" in json.loads(done.stdout)["meta_store_outage"]


def tenant(name: str, **limits: int) -> TenantView:
    names = [field.name for field in dataclasses.fields(TenantLimits)]
    return TenantView(name, TenantLimits(*(limits.get(name) for name in names)), 2, 1, 3 << 20, 4, 1000, 7)


def test_status_shows_what_tenants_have_and_may(run, monkeypatch):
    monkeypatch.setattr(Fleet, "functions", lambda self: [view("READY")])
    monkeypatch.setattr(Fleet, "tenants", lambda self: [tenant("default")])
    assert "TENANT" not in run.invoke(cli, ["status"]).stdout, "nothing limits the only one"
    limited = tenant("acme", functions=5, artifact_bytes=1 << 30, rows_per_second=900)
    monkeypatch.setattr(Fleet, "tenants", lambda self: [limited, tenant("default")])
    lines = run.invoke(cli, ["status"]).stdout.splitlines()
    (acme,) = [re.split(" {2,}", line) for line in lines if line.startswith("acme")]
    assert (acme[1], acme[2], acme[4:7]) == ("2/5", "1", ["4", "900", "7"])
    told = json.loads(run.invoke(cli, ["status", "--json"]).stdout)["tenants"]
    assert [entry["limits"]["functions"] for entry in told] == [5, None]


def test_a_token_among_the_arguments_is_refused(run):
    done = run.invoke(cli, ["--token", "s3cret", "functions"])
    assert done.exit_code == 2 and "--token-file" in done.stderr and "s3cret" not in done.stderr


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
    monkeypatch.setattr(Fleet, "meta_store_outage", "")
    monkeypatch.setattr(Fleet, "certificate_ends", None)
    monkeypatch.setattr(Fleet, "tenants", lambda self: [])
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
        (["down", "--nope"], "No such option '--nope'", "udfleet down"),
        (["logs", "--tail", "x"], "Invalid value for '--tail'", "udfleet logs"),
        (["call", "f", "-a", "1", "--input", __file__], "give --arg or --input, not both", "udfleet call"),
        (["register", ":f", "--name", "f"], "':f' is not of the form module:attr", "udfleet register"),
        (["call", "f", "--output", "x.txt"], "x.txt: the format is told by one of .csv, ", "udfleet call"),
    ],
)
def test_wrong_usage_is_told_like_every_other_failure(arguments, said, where):
    done = CliRunner().invoke(cli, arguments, prog_name="udfleet")
    assert done.exit_code == 2 and done.stdout == ""
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("error: USAGE: ") and said in first and last == f"hint: see `{where} --help`"


@pytest.mark.parametrize(
    ("code", "said", "line"),
    [
        ("from udfleet import udf\ndef f(:\n    pass\n", "SyntaxError: ", 2),
        ("from udfleet import DataTypes\n\nx = DataTypes.BIGNIT()\n", "AttributeError: ", 3),
        ("def g():\n    return 1 // 0\n\nx = g()\n", "ZeroDivisionError: ", 2),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package'", 1),
        ("raise SystemExit('enough')\n", "SystemExit: enough", 1),
    ],
)
def test_a_module_that_fails_is_told_with_its_own_lines_alone(run, tmp_path, code, said, line):
    file = tmp_path / "failing_module.py"
    file.write_text(code)
    done = run.invoke(cli, ["register", f"{file}:f"])
    first, *rest = done.stderr.splitlines()
    assert done.exit_code == 1 and first.startswith(f"error: INVALID_DEFINITION: importing '{file}' failed: {said}")
    assert f'File "{file}", line {line}' in done.stderr and len(rest) < 10
    assert "importlib" not in done.stderr and "click" not in done.stderr


def test_a_refused_declaration_says_where_it_stands(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "refused_module.py").write_text(
        "from udfleet import InvalidDefinitionError\n\nraise InvalidDefinitionError('so not', hint='so')\n"
    )
    done = run.invoke(cli, ["register", "refused_module.py"])
    assert done.exit_code == 1 and done.stderr.startswith("error: INVALID_DEFINITION: refused_module.py, line 3: ")
    assert done.stderr.endswith("line 3: so not\nhint: so\n")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\n", "declares no function"),
        ("from udfleet import udf\nf = udf(len, 'STRING', 'INT')\ng = udf(len, 'STRING', 'INT')\n", ":f"),
    ],
)
def test_a_file_alone_must_declare_one_function(run, tmp_path, code, said):
    file = tmp_path / f"alone_{len(code)}.py"
    file.write_text(code)
    done = run.invoke(cli, ["register", str(file)])
    assert done.exit_code == 1 and said in done.stderr


def test_the_version_needs_no_large_package():
    code = "import sys; from udfleet.cli.main import cli\ntry: cli(['--version'])\nfinally: print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    version, python, programs, modules = done.stdout.splitlines()
    assert version.startswith("udfleet 0.") and not {"numpy", "pyarrow", "grpc", "rich"} & set(eval(modules))
    assert python.startswith(f"Python {platform.python_version()} on ")
    assert programs.startswith(("udfleet-coordinator 0.", "without programs: "))


def test_a_table_that_does_not_fit_shows_rows_one_below_the_other(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    header = ["FUNCTION", *(f"NUMBER {i}" for i in range(6))]
    tables.table(header, [["add", *range(1_000_000, 1_000_006)], ["[x]", "", *range(5)]])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert shown[:3] == ["FUNCTION  add", "NUMBER 0  1000000", "NUMBER 1  1000001"]
    assert shown[7:10] == ["", "FUNCTION  [x]", "NUMBER 0  -"]


def test_numbers_are_aligned_to_the_right_and_nothing_is_cut_in_a_pipe(capsys):
    tables.table(["NAME", "ROWS", "MEMORY"], [["a b", 7, "1 MiB"], ["c" * 200, 1234, "12 GiB"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "a b" + " " * 199 + "   7   1 MiB" and lines[2] == "c" * 200 + "  1234  12 GiB"


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
    assert files.read_table(str(target)).column("result").to_pylist() == [1, None]
    assert run.invoke(cli, ["call", "add", "--input", str(target), "--arg", "1"]).exit_code == 2


def test_register_loads_and_passes_everything_on(run, monkeypatch, tmp_path):
    (tmp_path / "cli_module.py").write_text("from udfleet import udf\nadd = udf(lambda a: a, 'INT', 'INT')\nx = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = {}

    def register(self, name, f, environment, config, timeout, on_event, on_error, labels, resources):
        given.update(name=name, f=f, environment=environment, config=config, labels=labels, resources=resources)
        return view("READY")

    monkeypatch.setattr(Fleet, "register_function", register)
    options = ["--name", "add", "--python", "3.12", "-r", "numpy", "--archive", "d.zip#data", "-c", "k=v"]
    options += ["--label", "zone=a", "--resource", "gpu=2"]
    done = run.invoke(cli, ["register", "cli_module:add", *options])
    assert done.stdout == "add@3 (BIGINT) -> DOUBLE\n", done.output
    assert (given["labels"], given["resources"]) == ({"zone": "a"}, {"gpu": 2})
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


def test_certificates_that_soon_end_are_warned_about(run, monkeypatch):
    now = datetime.datetime.now(datetime.timezone.utc)
    monkeypatch.setattr(Fleet, "functions", lambda self: [view("READY")])
    assert "TLS" not in run.invoke(cli, ["status"]).stdout
    monkeypatch.setattr(Fleet, "certificate_ends", now + datetime.timedelta(days=100, hours=1))
    done = run.invoke(cli, ["status"])
    assert "in 100 days" in done.stdout and "warning" not in done.stderr
    monkeypatch.setattr(Fleet, "certificate_ends", now + datetime.timedelta(days=3))
    done = run.invoke(cli, ["status"])
    assert done.exit_code == 0 and "warning: the TLS certificate of the coordinator ends" in done.stderr
    monkeypatch.setattr(Fleet, "certificate_ends", now - datetime.timedelta(days=3))
    assert "has expired" in run.invoke(cli, ["status"]).stderr
    assert "certificate_ends" in json.loads(run.invoke(cli, ["status", "--json"]).stdout)
