"""`udfleet register --dagger`: Dagger's own files, unchanged, on a fleet."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fleet_support import run_cli

from udfleet import dagger

HEADER = "from pyflink.table import DataTypes\nfrom pyflink.table.udf import udf\n"
TIMES = HEADER + "@udf(result_type=DataTypes.FLOAT())\ndef times(i, j):\n    return i * j\n"
SAMPLE = HEADER + (
    "from udfs.words import ending\n"
    "@udf(input_types=DataTypes.STRING(), result_type=DataTypes.STRING())\n"
    "def sample(text):\n"
    "    with open('data/sample_data.txt') as file:\n"
    "        return text + file.read() + ending\n"
)
DISTANCE = HEADER + (
    "@udf(input_types=[DataTypes.DOUBLE()], result_type=DataTypes.BIGINT())\n"
    "def distance(a):\n"
    "    from haversine import haversine\n"
    "    return round(haversine((0.0, 0.0), (0.0, a)))\n"
)
DOUBLED = HEADER + (
    "@udf(input_types=[DataTypes.BIGINT()], result_type=DataTypes.BIGINT(), func_type='pandas')\n"
    "def doubled(values):\n"
    "    return values * 2\n"
)


@pytest.fixture
def job(tmp_path):
    (tmp_path / "times.py").write_text(TIMES)
    with zipfile.ZipFile(tmp_path / "python_udfs.zip", "w") as archive:
        archive.writestr("udfs/scalar/sample.py", SAMPLE)
        archive.writestr("udfs/scalar/distance.py", DISTANCE)
        archive.writestr("udfs/vectorized/doubled.py", DOUBLED)
        archive.writestr("udfs/words.py", "ending = '!'\n")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("sample_data.txt", " world")
    (tmp_path / "requirements.txt").write_text("apache-flink==1.14.3\nhaversine==2.9.0\n")
    config = {
        "PYTHON_FILES": "times.py, python_udfs.zip",
        "PYTHON_ARCHIVES": "data.zip#data",
        "PYTHON_REQUIREMENTS": "requirements.txt",
        "PYTHON_FN_EXECUTION_ARROW_BATCH_SIZE": "2",
    }
    (tmp_path / "config.json").write_text(json.dumps([config]))
    return tmp_path


def test_all_functions_of_a_configuration_can_be_called(fleet, job):
    done = run_cli(fleet, "register", "--dagger", "config.json", cwd=job)
    assert done.stdout.splitlines() == [
        "times@1 (...) -> FLOAT",
        "distance@1 (DOUBLE) -> BIGINT",
        "sample@1 (STRING) -> STRING",
        "doubled@1 (BIGINT) -> BIGINT",
    ]
    assert "note: PYTHON_REQUIREMENTS: apache-flink is left out" in done.stderr
    assert fleet.call("times", [2.0, 3.0], [4.0, 5.0]).to_pylist() == [8.0, 15.0]
    assert fleet.call("sample", ["hello"]).to_pylist() == ["hello world!"]
    assert fleet.call("distance", [90.0]).to_pylist() == [10008]
    assert fleet.call("doubled", [1, 2, 3]).to_pylist() == [2, 4, 6]
    assert fleet.function("sample").config["python.fn-execution.arrow.batch.size"] == "2"


def test_registered_again_nothing_changes_and_a_newer_file_is_a_new_version(fleet, job, monkeypatch):
    monkeypatch.chdir(job)
    (job / "renewed.py").write_text(TIMES.replace("times", "renewed"))
    config = {"PYTHON_FILES": "renewed.py"}
    for _ in range(2):
        (view,) = dagger.load(config).register(fleet)
        assert view.reference == "renewed@1" and fleet.call("renewed", [2.0], [4.0]).to_pylist() == [8.0]
    (job / "renewed.py").write_text(TIMES.replace("times", "renewed").replace("i * j", "i + j"))
    (view,) = dagger.load(config).register(fleet)
    assert view.reference == "renewed@2" and fleet.call("renewed", [2.0], [4.0]).to_pylist() == [6.0]


def test_what_fails_is_told_as_everywhere(fleet, job):
    (job / "config.json").write_text('{"PYTHON_FILES": "times.py", "PYTHON_ARCHIVE": "data.zip"}')
    done = run_cli(fleet, "register", "--dagger", "config.json", status=1, cwd=job)
    assert done.stderr.startswith("error: INVALID_CONFIG: Dagger's configuration has no key 'PYTHON_ARCHIVE'")
    assert "hint: did you mean PYTHON_ARCHIVES?" in done.stderr and done.stdout == ""


def test_functions_run_on_another_python_than_the_one_that_registers(fleet, job, monkeypatch):
    """They travel as files and names, not as bytecode."""
    monkeypatch.chdir(job)
    offered = {python.rpartition(".")[0] for executor in fleet.executors() for python in executor.pythons}
    others = sorted(offered - {f"{sys.version_info[0]}.{sys.version_info[1]}"})
    if not others:
        pytest.skip("the fleet offers one Python only")
    (job / "elsewhere.py").write_text(
        HEADER + "import sys\n@udf(input_types=[], result_type=DataTypes.STRING())\ndef elsewhere():\n"
        "    return f'{sys.version_info[0]}.{sys.version_info[1]}'\n"
    )
    loaded = dagger.load({"PYTHON_FILES": "elsewhere.py", "PYTHON_EXECUTABLE": others[0]})
    loaded.register(fleet)
    assert fleet.call("elsewhere", rows=1).to_pylist() == [others[0]]


def test_the_page_can_be_followed(fleet, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "engines" / "dagger.md").read_text()

    def blocks(language):
        return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)

    module, script = blocks("python")
    (tmp_path / "multiply.py").write_text(module)
    (tmp_path / "config.json").write_text(blocks("json")[0])
    printed = [run_cli(fleet, *shlex.split(line)[1:], cwd=tmp_path).stdout for line in blocks("bash")[0].splitlines()]
    assert "".join(printed) == blocks("text")[0]
    (tmp_path / "page.py").write_text(script.replace("connect()", f"connect({fleet.address!r}, {fleet.token!r})"))
    done = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "['multiply'] []\n"), done.stderr
    assert fleet.function("multiply").version == 1, "registered again, nothing changes"
