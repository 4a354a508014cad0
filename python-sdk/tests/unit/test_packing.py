"""What a registration sends: pickles by value and by reference, zips, environments, definitions."""

from __future__ import annotations

import functools
import hashlib
import pickle
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path

import pytest

import udfleet
from udfleet import DataTypes, Environment, NotPicklableError, ScalarFunction, udf
from udfleet._packing.definition import build, implicit_requirements
from udfleet._packing.modules import provided_by
from udfleet._packing.pickling import pickle_function
from udfleet._packing.shipment import Shipment, pickle_support

CLIENT = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCK = threading.Lock()
FACTOR = 3


class Scale(ScalarFunction):
    def eval(self, a):
        return a * FACTOR


class Locked(ScalarFunction):
    def __init__(self):
        self.guard = threading.Lock()

    def eval(self, a):
        return a


@udf(result_type="BIGINT")
def decorated(a):
    return a * FACTOR


def make(wrapper, environment=None, config=None, shipment=None):
    made = shipment or Shipment()
    return build("f", wrapper, environment or Environment(), config or {}, {"k": 1}, "j", made)


def elsewhere(payload: bytes, call: str, *paths: object) -> str:
    """Loads a payload in a fresh Python that has udfleet and cloudpickle alone, as an interpreter would."""
    source = Path(udfleet.__file__).parent.parent
    code = f"""
    import sys
    sys.path[:0] = {[str(source), *map(str, paths)]!r}
    import pickle
    f = pickle.loads(bytes.fromhex({payload.hex()!r}))
    print({call})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("declared", "call"),
    [
        (decorated, "f(2)"),
        (udf(lambda a: a * FACTOR, result_type="BIGINT"), "f(2)"),
        (udf(functools.partial(lambda a, b: a * b, FACTOR), result_type="BIGINT"), "f(2)"),
        (udf(Scale(), result_type="BIGINT"), "f.eval(2)"),
        (udf(lambda a: decorated(a), result_type="BIGINT"), "f(2)"),
    ],
)
def test_local_code_travels_by_value(declared, call):
    pickled = pickle_function(declared, set())
    assert pickled.holds_bytecode
    assert elsewhere(pickled.data, call) == "6"


def test_installed_code_travels_by_name():
    import math

    pickled = pickle_function(udf(math.sqrt, result_type="DOUBLE"), set())
    assert not pickled.holds_bytecode and elsewhere(pickled.data, "f(9)") == "3.0"
    definition = make(udf(math.sqrt, result_type="DOUBLE"))
    assert definition.payload_python == "" and definition.environment.python == ""


def test_declared_functions_in_shipped_files_travel_by_name(tmp_path, monkeypatch):
    module = tmp_path / "shipped_module.py"
    text = 'from udfleet import udf\n@udf(result_type="BIGINT")\ndef inc(a):\n    return a + 1\n'
    module.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    import shipped_module

    by_value = pickle_function(shipped_module.inc, set())
    assert by_value.holds_bytecode and elsewhere(by_value.data, "f(1)") == "2"
    by_name = pickle_function(shipped_module.inc, provided_by([str(module)]))
    assert not by_name.holds_bytecode and elsewhere(by_name.data, "f(1)", tmp_path) == "2"
    user = udf(lambda a: shipped_module.inc(a), result_type="BIGINT")
    assert elsewhere(pickle_function(user, {"shipped_module"}).data, "f(1)", tmp_path) == "2"
    definition = make(shipped_module.inc, Environment(files=[module]))
    assert definition.payload_python == "" and definition.environment.files[0].name == "shipped_module.py"


def test_what_cant_travel_is_named():
    with pytest.raises(
        NotPicklableError, match=r"the global variable 'LOCK' of module 'test_packing', a _thread\.lock"
    ) as caught:
        pickle_function(udf(lambda: LOCK.locked(), result_type="BOOLEAN"), set())
    assert caught.value.code == "INVALID_DEFINITION" and "open()" in caught.value.hint
    with pytest.raises(NotPicklableError, match="the attribute 'guard'"):
        pickle_function(udf(Locked(), result_type="BIGINT"), set())
    inner = threading.Lock()
    with pytest.raises(NotPicklableError, match="the variable 'inner'"):
        pickle_function(udf(lambda: inner.locked(), result_type="BOOLEAN"), set())


def test_definition_says_what_was_declared():
    definition = make(
        udf(Scale(), input_types=["BIGINT NOT NULL"], result_type="DOUBLE"),
        config={"python.metric.enabled": False, "python.fn-execution.bundle.size": 7, "python.executable": "3.12"},
    )
    assert (definition.payload_python, definition.environment.python) == (CLIENT, "3.12")
    assert dict(definition.config) == {"python.metric.enabled": "false", "python.fn-execution.bundle.size": "7"}
    assert dict(definition.job_parameters) == {"k": "1"} and definition.job == "j"
    assert definition.input_typed and definition.input_types[0].not_null
    assert "class Scale(ScalarFunction)" in definition.source and "test_packing.py:" in definition.source
    untyped = make(udf(lambda *a: 1, result_type="INT"))
    assert not untyped.input_typed and untyped.environment.python == CLIENT


def test_artifacts_are_addressed_by_content(tmp_path):
    folder = tmp_path / "package"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.py").write_text("A = 1\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"x")
    first = make(decorated, Environment(files=[folder], archives={"data": folder})).environment
    (folder / "sub" / "a.py").touch()
    second = make(decorated, Environment(files=[f"{folder}/"], archives={"data": folder})).environment
    assert first == second and first.files[0].name == "package.tar" and first.archives[0].name == "data"
    assert provided_by([str(folder)]) == {"sub"}
    (folder / "sub" / "a.py").write_text("A = 2\n")
    assert make(decorated, Environment(files=[folder])).environment.files[0].hash != first.files[0].hash


def test_chunks_carry_the_whole_artifact(tmp_path):
    data = bytes(range(256)) * 12_000
    (tmp_path / "data.bin").write_bytes(data)
    shipment = Shipment()
    artifact = shipment.add_path("data", str(tmp_path / "data.bin"))
    first, *chunks = shipment._chunks(artifact)
    assert (first.hash, first.size, first.data) == (hashlib.sha256(data).hexdigest(), len(data), b"")
    assert b"".join(chunk.data for chunk in chunks) == data and max(len(c.data) for c in chunks) == 1 << 20


def test_only_missing_artifacts_are_sent():
    class Rpc:
        sent: list[str] = []  # noqa: RUF012

        def missing(self, hashes):
            return set(hashes[:1])

        def put(self, chunks, timeout):
            self.sent.append(next(chunks()).hash)

    events: list[str] = []
    shipment = Shipment()
    first, _ = shipment.add_bytes("a", b"1"), shipment.add_bytes("b", b"2")
    shipment.send(Rpc(), events.append, None)
    assert Rpc.sent == [first.hash] and events == ["sending 1 of 2 artifacts, 1 bytes: a"]


def test_cloudpickle_is_shipped_reproducibly(tmp_path):
    assert pickle_support() == pickle_support.__wrapped__()
    (tmp_path / "cloudpickle.zip").write_bytes(pickle_support())
    assert "cloudpickle/__init__.py" in zipfile.ZipFile(tmp_path / "cloudpickle.zip").namelist()
    payload = pickle_function(decorated, set()).data
    source = Path(udfleet.__file__).parent.parent
    code = f"import sys; sys.path[:0] = [{str(tmp_path / 'cloudpickle.zip')!r}, {str(source)!r}]; import pickle; "
    code += f"print(pickle.loads(bytes.fromhex({payload.hex()!r}))(2))"
    # -S: without site-packages.
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout == "6\n", done.stderr


def test_implicit_requirements():
    assert implicit_requirements([], "general", CLIENT) == []
    pandas, pyarrow = implicit_requirements([], "pandas", CLIENT)
    assert pandas.startswith("pandas==") and pyarrow.startswith("pyarrow==")
    assert implicit_requirements(["Pandas>=2"], "pandas", "3.9") == ["pyarrow"]
    assert implicit_requirements(["pyarrow[x]<30"], "arrow", CLIENT) == []


def test_environments_from_config_and_files(tmp_path):
    (tmp_path / "more.txt").write_text("numpy\n")
    (tmp_path / "requirements.txt").write_text("# a comment\n\nhaversine >= 2\n-r more.txt\n")
    environment = Environment().with_config(
        {
            "python.requirements": f"{tmp_path / 'requirements.txt'}#{tmp_path}",
            "python.files": "a.py, b.zip",
            "python.archives": "x.zip#data,y.tgz",
        }
    )
    assert environment.requirements == ["haversine >= 2", "numpy"]
    assert environment.requirements_cache == str(tmp_path)
    assert environment.files == ["b.zip", "a.py"], "the last is found first"
    assert environment.archives == {"data": "x.zip", "y.tgz": "y.tgz"}
    assert Environment(requirements=tmp_path / "more.txt").requirements == ["numpy"]
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"'absent.txt' does not exist"):
        Environment(requirements="absent.txt")
    with pytest.raises(TypeError):
        Environment(files="a.py")
    with pytest.raises(udfleet.InvalidDefinitionError, match="does not exist"):
        make(decorated, Environment(archives=["absent.zip"]))


def test_errors_pickle():
    error = udfleet.UserCodeError("m", function="f@1", row=3, hint="h")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.row, str(again)) == (udfleet.UserCodeError, 3, str(error))
    assert DataTypes.BIGINT() is not None
