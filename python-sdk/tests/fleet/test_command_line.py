"""The `udfleet` command against a fleet: data on stdout, talk on stderr, exit codes, no traceback of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest
from fleet_support import eventually, run_cli
from pyarrow import feather

import udfleet

MODULE = """
import sys
from udfleet import udf, udtf

@udf(input_types=["BIGINT", "BIGINT"], result_type="BIGINT")
def add(a, b):
    "Adds."
    print("adding", a, file=sys.stderr)
    return a + b

@udf(input_types="BIGINT", result_type="BIGINT")
def inverse(a):
    return 1 // a

@udtf(input_types="STRING", result_types="ROW<word STRING, length INT>")
def words(text):
    for word in text.split():
        yield word, len(word)

@udf(input_types="BIGINT", result_type="BIGINT")
async def later(a):
    return a + 1

def spin(n):
    return sum(i * i for i in range(n))

@udf(input_types="BIGINT", result_type="BIGINT")
def busy(n):
    return spin(n)

class Group:
    nested = udf(lambda a: -a, "BIGINT", "BIGINT")

plain = len
"""


def columns(line):
    """The cells of a table's line in a pipe."""
    return re.split(" {2,}", line.strip())


@pytest.fixture(scope="module")
def cli(fleet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    (folder / "cli_functions.py").write_text(textwrap.dedent(MODULE))

    def run(*arguments, status=0, **options):
        return run_cli(fleet, *arguments, status=status, cwd=folder, **options)

    run("register", "cli_functions:add", "--name", "cli_add")
    run.folder = folder
    return run


def test_register(cli):
    done = cli("register", "cli_functions:Group.nested", "--name", "cli_neg", "-c", "udfleet.call.timeout=9000")
    assert done.stdout == "cli_neg@1 (BIGINT) -> BIGINT\n"
    assert "registered as cli_neg@1" in done.stderr
    again = json.loads(cli("register", "cli_functions:Group.nested", "--name", "cli_neg", "--json").stdout)
    assert (again["name"], again["version"], again["state"], again["config"]) == ("cli_neg", 2, "READY", {})


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["cli_functions:absent", "--name", "x"], 1, "'cli_functions' has no attribute 'absent'"),
        (["no_such_module:f", "--name", "x"], 1, "no module 'no_such_module'"),
        (["cli_functions:plain", "--name", "x"], 1, "declare the function with udfleet.udf"),
        (["cli_functions", "--name", "x"], 1, "'cli_functions' declares 5 functions: add, inverse, words, later, busy"),
        ([":add", "--name", "x"], 2, "not of the form module:attr"),
        (["cli_functions:add", "--name", "x y"], 1, "error: INVALID_DEFINITION"),
        (["cli_functions:add", "--name", "x", "--python", "3.99"], 1, "error: INFEASIBLE"),
        (
            ["cli_functions:add", "--name", "x", "-c", "udfleet.interpretors=2"],
            1,
            'did you mean "udfleet.interpreters"?',
        ),
    ],
)
def test_register_refuses(cli, arguments, status, said):
    done = cli("register", *arguments, status=status)
    assert said in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


def test_call(cli):
    assert cli("call", "cli_add", "-a", "1", "-a", "[1, 2, null]", status=1).stdout == ""
    assert cli("call", "cli_add", "-a", "1", "-a", "[1, 2]").stdout == "2\n3\n"
    (cli.folder / "table.csv").write_text("x,y,z\n1,2,3\n10,20,30\n")
    assert cli("call", "cli_add", "--input", "table.csv", "--columns", "x,z").stdout == "4\n40\n"
    done = cli("call", "cli_add", "--input", "table.csv", "--columns", "x,y", "--output", "sums.arrow")
    assert done.stdout == "" and "2 rows written to sums.arrow" in done.stderr
    assert feather.read_table(cli.folder / "sums.arrow").column(0).to_pylist() == [3, 30]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["call", "cli_add", "--input", "t.csv", "--columns", "x,nope"], 1, "t.csv has no columns 'nope'; it has x, y"),
        (["call", "cli_add", "--input", "bad.parquet"], 1, "bad.parquet can't be read: "),
        (["call", "cli_add", "--input", "bad.arrow"], 1, "bad.arrow can't be read: "),
        (["call", "cli_add", "--input", "bad.json"], 1, "bad.json can't be read: "),
        (["call", "cli_add", "--input", "bad.csv"], 1, "bad.csv can't be read: "),
        (["call", "cli_add", "--input", "t.csv", "--output", "no/x.arrow"], 1, "can't be written to no/x.arrow: "),
        (["call", "cli_add", "--rows", "-1"], 2, "-1 is not in the range x>=0"),
        (
            ["register", "cli_functions:add", "--name", "x", "-c", "python.requirements=nope.txt"],
            1,
            "error: INVALID_DEFINITION: requirements file 'nope.txt' does not exist",
        ),
        (["register", "cli_functions:add", "--name", "x", "--timeout", "0"], 2, "0.0 is not in the range x>0"),
        (["up", "-n", "0"], 2, "0 is not in the range x>=1"),
        (["up", "--interpreters", "0"], 2, "0 is not in the range x>=1"),
        (["logs", "--tail", "-1"], 2, "-1 is not in the range x>=0"),
    ],
)
def test_bad_input_is_told_without_a_traceback(cli, arguments, status, said):
    (cli.folder / "t.csv").write_text("x,y\n1,2\n")
    (cli.folder / "bad.csv").write_text("x,y\n1\n")
    for kind in ("parquet", "arrow", "json"):
        (cli.folder / f"bad.{kind}").write_text("{junk")
    done = cli(*arguments, status=status)
    assert said in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


def test_call_shows_the_functions_own_failure(cli):
    cli("register", "cli_functions:inverse", "--name", "cli_inverse")
    done = cli("call", "cli_inverse", "-a", "0", status=1)
    assert done.stdout == ""
    assert done.stderr.startswith("error: USER_CODE: cli_inverse@1: row 0: ZeroDivisionError:")
    assert "in inverse\n    return 1 // a\n" in done.stderr
    done = cli("call", "cli_ad", "-a", "0", "-a", "1", status=1)
    assert (
        done.stderr
        == 'error: FUNCTION_NOT_FOUND: cli_ad: no function cli_ad is registered\nhint: did you mean "cli_add"?\n'
    )


def test_call_without_arguments(fleet, cli):
    fleet.register_function("cli_seven", udfleet.udf(lambda: 7, [], "BIGINT"))
    assert cli("call", "cli_seven").stdout == "7\n"
    assert cli("call", "cli_seven", "--rows", "3").stdout == "7\n7\n7\n"


def test_another_python_loads_and_pickles(cli):
    python = cli.folder / "other-python"
    python.write_text(f'#!/bin/sh\necho "another Python" >&2\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    option = ["-c", f"python.client.executable={python}"]
    done = cli("register", "cli_functions:inverse", "--name", "cli_other", *option)
    assert "another Python\n" in done.stderr and done.stdout == "cli_other@1 (BIGINT) -> BIGINT\n"
    assert cli("call", "cli_other", "-a", "1").stdout == "1\n"
    done = cli("register", "cli_functions:inverse", "--name", "x", "-c", "python.client.executable=no-python", status=1)
    assert "'no-python' is not an executable" in done.stderr


def test_other_kinds_of_functions(cli):
    registered = cli("register", "cli_functions:words", "--name", "cli_words", "--on-error", "skip").stdout
    assert registered == "cli_words@1 (STRING) -> ROW<word STRING, length INT>\n"
    cli("register", "cli_functions:later", "--name", "cli_later")
    kinds = {tuple(columns(line)[:4:3]) for line in cli("functions").stdout.splitlines()}
    assert {("cli_words@1", "table"), ("cli_later@1", "async scalar")} <= kinds
    lines = [json.loads(line) for line in cli("call", "cli_words", "-a", '["a bc", null, "d"]').stdout.splitlines()]
    assert [tuple(line.values()) for line in lines] == [(0, "a", 1), (0, "bc", 2), (2, "d", 1)]
    target = cli.folder / "words.arrow"
    cli("call", "cli_words", "-a", "x y", "--output", str(target))
    assert feather.read_table(target).column("word").to_pylist() == ["x", "y"]
    error = cli("call", "cli_words", "-a", '["a", null]', "--on-error", "fail", status=1).stderr
    assert "USER_CODE: cli_words@1: row 1" in error
    assert "1 row failed" in eventually("row errors", lambda: (d := cli("errors", "cli_words")).stdout and d).stdout
    assert cli("call", "cli_later", "-a", "1").stdout == "2\n"


def test_profile(cli):
    cli("register", "cli_functions:busy", "--name", "cli_busy", "-c", "python.profile.enabled=true")
    for _ in range(4):
        cli("call", "cli_busy", "-a", "[3000000, 3000000]")
    picture = cli.folder / "flame.svg"
    done = cli("profile", "cli_busy", "--svg", str(picture))
    lines = [columns(line) for line in done.stdout.splitlines()]
    assert lines[0] == ["OWN %", "OWN S", "TOTAL %", "TOTAL S", "FUNCTION"]
    (spin,) = [line for line in lines if ":spin:" in line[4]]
    assert float(spin[2]) > 80 and float(spin[3]) > 0.2
    assert ":busy:" in picture.read_text() and ":spin:" in picture.read_text()
    assert "nothing was sampled" in cli("profile", "cli_add").stderr


def test_functions_and_status(cli):
    lines = cli("functions").stdout.splitlines()
    assert columns(lines[0])[:3] == ["FUNCTION", "STATE", "SIGNATURE"]
    assert ["cli_add@1", "ready", "(BIGINT, BIGINT) -> BIGINT", "scalar", "general", "2/2"] in [
        columns(line)[:6] for line in lines
    ]
    (found,) = [f for f in json.loads(cli("functions", "--json").stdout) if f["name"] == "cli_add"]
    assert (found["doc"], found["kind"], found["python"]) == (
        "Adds.",
        "scalar",
        f"{sys.version_info[0]}.{sys.version_info[1]}",
    )
    told = json.loads(cli("status", "--json").stdout)
    assert {e["id"]: e["state"] for e in told["executors"]} == {"executor-1": "ready", "executor-2": "ready"}
    assert ["executor-2", "ready"] in [columns(line)[:2] for line in cli("status").stdout.splitlines()]


def test_logs(cli):
    cli("call", "cli_add", "-a", "77", "-a", "1")
    done = eventually("the line is kept", lambda: "adding 77" in (d := cli("logs", "cli_add")).stdout and d)
    assert " cli_add@1 stderr | adding 77\n" in done.stdout and done.stderr == ""
    (line,) = cli("logs", "cli_add", "--tail", "1", "--json").stdout.splitlines()[:1]
    assert json.loads(line)["function"] == "cli_add@1"
    done = cli("logs", "cli_nothing", status=1)
    assert "error: FUNCTION_NOT_FOUND" in done.stderr


def test_progress(cli):
    cli("call", "cli_add", "-a", "1", "-a", "1")
    (view,) = json.loads(cli("progress", "cli_add", "--json").stdout)
    assert view["total"]["function"] == "cli_add" and view["total"]["calls"] >= 1


def test_a_wrong_token_is_said(fleet):
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": "wrong"}
    command = [sys.executable, "-m", "udfleet", "functions"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: UNAUTHENTICATED: ") and "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough(fleet, cli):
    fleet.call("cli_add", list(range(2000)), 1)
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token}
    command = f"{shlex.quote(sys.executable)} -m udfleet logs cli_add | head -n 1"
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=60)
    assert "adding" in done.stdout and done.stderr == ""


def test_drop(fleet, cli):
    for timeout in (5000, 6000):
        cli("register", "cli_functions:inverse", "--name", "cli_dropped", "-c", f"udfleet.call.timeout={timeout}")
    assert cli("drop", "cli_dropped@1").stderr == "dropped cli_dropped@1\n"
    assert json.loads(cli("drop", "cli_dropped", "--json").stdout) == ["cli_dropped@2"]
    assert "FUNCTION_NOT_FOUND" in cli("drop", "cli_dropped", status=1).stderr
    assert "cli_dropped" not in {function.name for function in fleet.functions()}


def test_a_function_by_its_file(cli):
    (cli.folder / "one.py").write_text("from udfleet import udf\n\nhalve = udf(lambda a: a // 2, 'BIGINT', 'BIGINT')\n")
    assert cli("register", "one.py:halve").stdout == "halve@1 (BIGINT) -> BIGINT\n"
    assert cli("register", str(cli.folder / "one.py"), "--name", "cli_half").stdout.startswith("cli_half@1 ")
    package = cli.folder / "elsewhere" / "cli_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "factor.py").write_text("FACTOR = 3\n")
    code = (
        "from udfleet import udf\nfrom .factor import FACTOR\nthrice = udf(lambda a: a * FACTOR, 'BIGINT', 'BIGINT')\n"
    )
    (package / "deep.py").write_text(code)
    cli("register", "elsewhere/cli_package/deep.py:thrice", "--name", "cli_thrice")
    assert cli("call", "cli_thrice", "-a", "14").stdout == "42\n"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
def test_results_are_written_and_read_in_each_format(cli, kind):
    target = cli.folder / f"sums.{kind}"
    cli("call", "cli_add", "-a", "[1, 20]", "-a", "2", "--output", str(target))
    magic = {"csv": b'"result"\n3\n22', "jsonl": b'{"result": 3}\n', "parquet": b"PAR1", "arrow": b"ARROW1"}[kind]
    assert target.read_bytes().startswith(magic)
    with target.open("rb") as stdin:
        assert cli("call", "cli_add", "--input", "-", "--columns", "result,result", stdin=stdin).stdout == "6\n44\n"
    done = cli("call", "cli_add", "--input", str(target), "--input-format", kind.replace("jsonl", "json"), status=1)
    assert "INVALID_INPUT" in done.stderr, "one column for two arguments"


def test_a_shell_completes_commands_and_names(fleet, cli):
    script = cli("completion", "bash").stdout
    assert "_UDFLEET_COMPLETE=bash_complete" in script
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token}
    source = (
        f"{script}\nCOMP_WORDS=(udfleet call cli_a); COMP_CWORD=2; _udfleet_completion udfleet; echo ${{COMPREPLY[@]}}"
    )
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(["bash", "-c", source], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["cli_add"], done.stderr


def test_results_of_every_kind_are_json(fleet, cli):
    fleet.register_function("when", udfleet.udf(lambda a: {"at": a}, "DATE", "ROW<at DATE>"))
    assert cli("call", "when", "-a", '["2024-02-29"]', status=1).stderr.startswith("error: INVALID_INPUT")
    feather.write_feather(
        pa.table({"d": pa.array([19782], pa.date32())}), str(cli.folder / "days.arrow"), "uncompressed"
    )
    assert json.loads(cli("call", "when", "--input", "days.arrow").stdout) == {"at": "2024-02-29"}
