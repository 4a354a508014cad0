"""Dagger's PYTHON_UDF_CONFIG: keys, files, and which functions are in them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from udfleet import DataTypes, InvalidConfigError, InvalidDefinitionError, dagger
from udfleet.cli.main import cli

MULTIPLY = """
from pyflink.table import DataTypes
from pyflink.table.udf import udf

@udf(result_type=DataTypes.FLOAT())
def multiply(i, j):
    return i * j
"""
GREET = """
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf
from udfs.words import greeting

class Greet(ScalarFunction):
    def eval(self, name):
        return greeting + name

greet = udf(Greet(), input_types=DataTypes.STRING(), result_type=DataTypes.STRING())
"""


@pytest.fixture(autouse=True)
def modules_of_this_test(monkeypatch):
    before = dict(sys.modules)
    yield
    for name in sys.modules.keys() - before.keys():
        if name.partition(".")[0] in ("multiply", "greet", "udfs", "wrong", "lacks"):
            del sys.modules[name]


@pytest.fixture
def multiply(tmp_path):
    path = tmp_path / "multiply.py"
    path.write_text(MULTIPLY)
    return str(path)


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return str(path)


def test_all_keys_become_those_of_udfleet():
    given = {key: f"value of {key}" for key in dagger.KEYS}
    assert dagger.parse(json.dumps(given)) == {ours: f"value of {key}" for key, ours in dagger.KEYS.items()}
    assert dagger.KEYS["PYTHON_FN_EXECUTION_ARROW_BATCH_SIZE"] == "python.fn-execution.arrow.batch.size"


def test_the_page_has_all_keys():
    page = Path(__file__).parents[3] / "docs" / "engines" / "dagger.md"
    assert dict(re.findall(r"^\| `(PYTHON_\w+)` \| `([\w.-]+)` \|$", page.read_text(), re.MULTILINE)) == dagger.KEYS


def test_the_form_of_the_documentation_and_numbers_and_blanks():
    text = '[{"PYTHON_FILES": " a.py, b.zip ", "PYTHON_FN_EXECUTION_BUNDLE_TIME": 5, "PYTHON_METRIC_ENABLED": false}]'
    assert dagger.parse(text) == {
        "python.files": "a.py,b.zip",
        "python.fn-execution.bundle.time": "5",
        "python.metric.enabled": "false",
    }
    assert dagger.parse('{"PYTHON_FILES": "a.py", "PYTHON_ARCHIVES": null}') == {"python.files": "a.py"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"PYTHON_FILE": "a.py"}', "no key 'PYTHON_FILE'\nhint: did you mean PYTHON_FILES?"),
        (
            '{"PYTHON_FILES": "a.py", "PYTHON_FN_EXECUTION_BATCH_SIZE": 1}',
            "did you mean PYTHON_FN_EXECUTION_B?.*SIZE",
        ),
        ('{"PYTHON_FILES": "a.py", "zzz": 1}', "known are PYTHON_FILES, PYTHON_ARCHIVES"),
        ("{}", "PYTHON_FILES is missing"),
        ('{"PYTHON_FILES": " , "}', "PYTHON_FILES is missing"),
        ('{"PYTHON_FILES": ["a.py"]}', "PYTHON_FILES is a list of 1; it takes text"),
        ('{"PYTHON_FILES": "gs://bucket/a.py"}', "is not a path of this machine\nhint: fetch the file"),
        ("[]", "this is a list of 0"),
        ('"PYTHON_FILES"', "this is 'PYTHON_FILES'"),
        ("PYTHON_FILES=a.py", "is not JSON"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, complaint):
    with pytest.raises(InvalidConfigError, match=complaint):
        dagger.parse(text)


def test_a_file_is_a_function_and_need_not_be_changed(multiply):
    job = dagger.load({"PYTHON_FILES": multiply, "PYTHON_FN_EXECUTION_BUNDLE_SIZE": 7})
    (found,) = job.functions
    assert (found.name, found.file, found.function(2, 3)) == ("multiply", multiply, 6)
    assert found.function.result_type == DataTypes.FLOAT() and found.function.input_types is None
    assert job.config == {"python.fn-execution.bundle.size": "7"} and job.notes == []
    assert job.environment.files == [multiply, dagger.importing.STAND_IN], "its `import pyflink` works there as well"


def test_every_function_of_a_zip_and_only_those(tmp_path, multiply):
    files = {
        "udfs/words.py": "greeting = 'hello '",
        "udfs/scalar/greet.py": GREET,
        "udfs/__init__.py": "",
        "lacks.py": "x = 1",
        "data.txt": "",
    }
    path = zipped(tmp_path / "udfs.zip", files)
    job = dagger.load({"PYTHON_FILES": f"{path},{multiply}"})
    assert [(each.name, each.file) for each in job.functions] == [
        ("greet", f"{path}/udfs/scalar/greet.py"),
        ("multiply", multiply),
    ]
    assert job.functions[0].function("you") == "hello you"
    assert [note.partition(": ")[0] for note in job.notes] == [f"{path}/lacks.py", f"{path}/udfs/words.py"]
    assert "lacks" not in sys.modules, "what is no function is not run"


def test_functions_below_if_and_try_are_found_when_they_are_async_or_imported(tmp_path, multiply):
    files = {
        "udfs/multiply.py": MULTIPLY,
        "udfs/imported/multiplied.py": "try:\n    from udfs.multiply import multiply as multiplied\nexcept ImportError: ...",
        "udfs/looked_up.py": """
from pyflink.table import DataTypes, udf

if udf.udf is not None:
    @udf.udf(result_type=DataTypes.FLOAT())
    async def looked_up(i):
        return i * 2
""",
    }
    job = dagger.load({"PYTHON_FILES": zipped(tmp_path / "udfs.zip", files)})
    found = {each.name: each.function for each in job.functions}
    assert found.keys() == {"multiply", "multiplied", "looked_up"} and job.notes == []
    assert found["multiplied"](2, 3) == 6
    assert found["looked_up"].result_type == DataTypes.FLOAT() and asyncio.run(found["looked_up"](2)) == 4


def test_loading_again_sees_what_changed(tmp_path, multiply):
    assert dagger.load({"PYTHON_FILES": multiply}).functions[0].function(2, 3) == 6
    (tmp_path / "multiply.py").write_text(MULTIPLY.replace("i * j", "i * j + 1"))
    assert dagger.load({"PYTHON_FILES": multiply}).functions[0].function(2, 3) == 7


def test_a_real_pyflink_stays_what_it_was(multiply, monkeypatch):
    real = ModuleType("pyflink")
    monkeypatch.setitem(sys.modules, "pyflink", real)
    dagger.load({"PYTHON_FILES": multiply})
    assert sys.modules["pyflink"] is real and "pyflink.table" not in sys.modules
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == "udfleet.dagger.importing"]


def test_requirements_and_archives(tmp_path, multiply):
    (tmp_path / "requirements.txt").write_text("apache-flink==1.14.3\nhaversine==2.9.0  # km\napache-flink-ml\n")
    job = dagger.load(
        {
            "PYTHON_FILES": multiply,
            "PYTHON_REQUIREMENTS": f"{tmp_path}/requirements.txt#{tmp_path}",
            "PYTHON_ARCHIVES": f"{tmp_path}/data.zip#data, {tmp_path}/model.zip",
        }
    )
    assert job.environment.requirements == ["haversine==2.9.0  # km", "apache-flink-ml"]
    assert job.environment.requirements_cache == str(tmp_path)
    assert job.environment.archives == {"data": f"{tmp_path}/data.zip", "model.zip": f"{tmp_path}/model.zip"}
    assert job.notes == ["PYTHON_REQUIREMENTS: apache-flink is left out, its names are udfleet's here"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("lacks.py", "def lack(): pass", "has nothing named 'lacks'\nhint: it has 'lack'"),
        ("wrong.py", "def wrong(): pass", "'wrong' in '.*wrong.py' is a function\nhint: declare it with udf"),
        ("wrong.py", "def wrong(:", r"is not Python of this version: .*\(wrong.py, line 1\)"),
        ("wrong.py", "import no_such_package as wrong", "No module named 'no_such_package'\nhint: what a file imports"),
        ("wrong.py", "wrong = 1 / 0", "ZeroDivisionError: division by zero"),
        ("statistics.py", "statistics = 1", "would hide the one that is installed\nhint: rename the file"),
        ("click.py", "click = 1", "would hide the one that is installed"),
        ("not-a-name.py", "", "named as Python names things"),
        ("wrong.txt", "", "is neither .py nor .zip"),
        ("wrong.zip", "", "is not a zip file"),
    ],
)
def test_files_without_their_function_are_refused(tmp_path, name, text, complaint):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidDefinitionError, match=complaint):
        dagger.load({"PYTHON_FILES": str(tmp_path / name)})


def test_what_is_absent_empty_or_there_twice_is_refused(tmp_path, multiply):
    with pytest.raises(InvalidDefinitionError, match=r"absent.py' does not exist \(looked for in"):
        dagger.load({"PYTHON_FILES": str(tmp_path / "absent.py")})
    with pytest.raises(InvalidDefinitionError, match="no function is in"):
        dagger.load({"PYTHON_FILES": zipped(tmp_path / "empty.zip", {"lacks.py": "x = 1"})})
    with pytest.raises(InvalidDefinitionError, match="are both function MULTIPLY in Dagger's SQL"):
        other = zipped(tmp_path / "other.zip", {"udfs/Multiply.py": MULTIPLY.replace("multiply", "Multiply")})
        dagger.load({"PYTHON_FILES": f"{multiply},{other}"})
    with pytest.raises(InvalidDefinitionError, match="are both module 'multiply'"):
        dagger.load({"PYTHON_FILES": f"{multiply},{zipped(tmp_path / 'same.zip', {'multiply.py': MULTIPLY})}"})
    with pytest.raises(InvalidConfigError, match="can't be read"):
        dagger.load(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["m:f", "--name", "f"], "leave out 'm:f', --name"),
        (["-r", "numpy", "--file", __file__, "--archive", "a.zip"], "leave out --requirement, --file, --archive"),
    ],
)
def test_the_command_refuses_what_the_configuration_says(arguments, said):
    done = CliRunner().invoke(cli, ["register", "--dagger", "config.json", *arguments])
    assert done.exit_code == 2 and said in done.stderr


def test_the_command_needs_a_target_or_a_configuration():
    done = CliRunner().invoke(cli, ["register"])
    assert done.exit_code == 2 and "Missing argument 'MODULE:ATTR'" in done.stderr
