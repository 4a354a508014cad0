"""A wheel is all that a user needs: no checkout, no compiler, no Rust, no PATH."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from wheel_support import UV, Run, pythons

FIRST_FUNCTION = """
import udfleet
from udfleet import DataTypes, Environment, udf


@udf(input_types=[DataTypes.BIGINT(), DataTypes.BIGINT()], result_type=DataTypes.BIGINT())
def add(i, j):
    return i + j


@udf(input_types=[DataTypes.STRING()], result_type=DataTypes.STRING())
def slug(text):
    from slugify import slugify

    return slugify(text)


if __name__ == "__main__":
    with udfleet.local(executors=2) as fleet:
        fleet.register_function("add", add)
        print(fleet.call("add", [1, 2, 3], [10, 20, 30]).to_pylist())
        fleet.register_function("slug", slug, environment=Environment(requirements=["python-slugify==8.0.4"]))
        print(fleet.call("slug", ["Hello, World"]).to_pylist())
"""

TEXT = """
from udfleet import DataTypes, udf


@udf(input_types=[DataTypes.STRING()], result_type=DataTypes.STRING())
def shout(word):
    return word.upper() + "!"
"""


VERSION = """
import sys


def version(word):
    return ".".join(map(str, sys.version_info[:2]))
"""

OTHER_PYTHON = """
import sys

import of_any_version
import udfleet
from udfleet import DataTypes, Environment, udf

if __name__ == "__main__":
    executable, python = sys.argv[1:]
    environment = Environment(python=python, files=[of_any_version.__file__])
    function = udf(of_any_version.version, [DataTypes.STRING()], DataTypes.STRING())
    with udfleet.local(executors=1, pythons=[executable]) as fleet:
        fleet.register_function("version", function, environment=environment)
        print(fleet.call("version", ["x"]).to_pylist())
"""


def installed(bare: Run, folder: Path, python: Path, wheel: Path) -> Path:
    """The `bin` of a new virtual environment that holds the wheel and what it depends on."""
    bare(UV, "venv", "--quiet", "--python", python, folder)
    bare(UV, "pip", "install", "--quiet", "--python", folder / "bin/python", wheel)
    return folder / "bin"


def test_it_says_where_it_runs_and_is_small(wheel: Path) -> None:
    named = re.fullmatch(r"udfleet-[\d.]+-py3-none-manylinux_2_(\d+)_\w+\.whl", wheel.name)
    assert named
    # Debian 12, Ubuntu 22.04, Fedora 36, RHEL 9 and newer.
    assert int(named[1]) <= 34
    assert wheel.stat().st_size < 40 << 20
    names = zipfile.ZipFile(wheel).namelist()
    programs = {Path(name).name for name in names if "/_bin/" in name}
    assert programs == {
        "udfleet-coordinator",
        "udfleet-executor",
        "udfleet-interpreter",
        "libudfleet_interpreter.so",
        "udfleet-clickhouse",
    }
    assert not [name for name in names if "tests/" in name or name.endswith((".pyc", ".lock"))]


@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.name)
def test_the_first_function_runs_on_every_python(bare: Run, wheel: Path, tmp_path: Path, python: Path) -> None:
    programs = installed(bare, tmp_path / "venv", python, wheel)
    script = tmp_path / "first.py"
    script.write_text(FIRST_FUNCTION)
    answers = bare(programs / "python", script).stdout.split("\n")
    assert answers[:2] == ["[11, 22, 33]", "['hello-world']"]


@pytest.mark.skipif(len(pythons()) < 2, reason="there is one Python only")
def test_an_environment_has_another_python_version(bare: Run, wheel: Path, tmp_path: Path) -> None:
    own, other = pythons()[0], pythons()[-1]
    programs = installed(bare, tmp_path / "venv", own, wheel)
    (tmp_path / "of_any_version.py").write_text(VERSION)
    script = tmp_path / "other.py"
    script.write_text(OTHER_PYTHON)
    version = bare(other, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").stdout.strip()
    said = bare(programs / "python", script, other, version).stdout
    assert said.split("\n")[0] == f"['{version}']"


def test_the_command_line_starts_a_fleet_and_stops_it(bare: Run, wheel: Path, tmp_path: Path) -> None:
    programs = installed(bare, tmp_path / "venv", pythons()[-1], wheel)
    udfleet = programs / "udfleet"
    (tmp_path / "text.py").write_text(TEXT)
    said = bare(udfleet, "up", "--detach", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0").stdout
    variables = dict(re.findall(r"(UDFLEET_\w+)=(\S+)", said))
    try:
        bare(udfleet, "register", tmp_path / "text.py", **variables)
        assert bare(udfleet, "call", "shout", "--arg", "hello", **variables).stdout == '"HELLO!"\n'
    finally:
        bare(udfleet, "down", "--all", **variables)


def test_programs_of_a_larger_fleet_are_commands(bare: Run, wheel: Path, tmp_path: Path) -> None:
    udfleet = installed(bare, tmp_path / "venv", pythons()[-1], wheel) / "udfleet"
    for program in ("coordinator", "executor"):
        assert f"udfleet-{program} " in bare(udfleet, program, "--version").stdout
        assert "--listen <ADDRESS>" in bare(udfleet, program, "--help").stdout
    settings = bare(udfleet, "executor", "--dump-config", "--listen", "127.0.0.1:7").stdout
    assert 'listen = "127.0.0.1:7"' in settings
    assert str(udfleet.parent / "uv") in settings
    assert str(pythons()[-1]) in settings
    refused = bare(udfleet, "coordinator", "--no-such-option", check=False)
    assert (refused.returncode, "--no-such-option" in refused.stderr) == (2, True)


def test_other_ways_of_installing(bare: Run, wheel: Path, tmp_path: Path) -> None:
    python = pythons()[-1]
    version = re.search(r"udfleet-([\d.]+)-", wheel.name)[1]
    # The scripts that uv makes call realpath.
    command = (UV, "tool", "run", "--python", python, "--from", wheel, "udfleet", "--version")
    by_tool = bare(*command, PATH="/usr/bin:/bin").stdout
    assert by_tool.startswith(f"udfleet {version}")
    folder = tmp_path / "target"
    bare(UV, "pip", "install", "--quiet", "--python", python, "--target", folder, wheel)
    script = tmp_path / "first.py"
    script.write_text(FIRST_FUNCTION)
    assert "[11, 22, 33]" in bare(python, script, PYTHONPATH=str(folder)).stdout


def test_without_programs_the_wheel_is_the_sdk_alone(bare: Run, wheel: Path, tmp_path: Path) -> None:
    del wheel
    project = Path(__file__).parents[2]
    python = Path(UV).parent / "python"
    subprocess.run([python, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=project, check=True)
    assert [file.name.split("-", 2)[2] for file in tmp_path.glob("*.whl")] == ["py3-none-any.whl"]
    refused = subprocess.run(
        [python, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=project,
        env={"UDFLEET_WHEEL_PROGRAMS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "lacks udfleet-coordinator" in refused.stderr + refused.stdout
