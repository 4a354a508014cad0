"""Local modules that functions import when they run travel as files."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest

import udfleet
from udfleet import Environment, udf
from udfleet._packing.definition import build
from udfleet._packing.shipment import Shipment

FILES = {
    "inner_one.py": "import inner_two\ndef g(x):\n    return inner_two.h(x)\n",
    "inner_two.py": "def h(x):\n    from inner_package.part import one\n    return one(x)\n",
    "inner_package/__init__.py": "",
    "inner_package/part.py": "from . import other\ndef one(x):\n    return x + other.ONE\n",
    "inner_package/other.py": "ONE = 1\n",
    "inner_package/data.txt": "data",
    "inner_never.py": "raise AssertionError('imported here')\n",
    "inner_relative/__init__.py": "",
    "inner_relative/run.py": "def run(x):\n    from . import util\n    return util.two(x)\n",
    "inner_relative/util.py": "def two(x):\n    return x + 2\n",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / "modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    yield tmp_path / "modules"
    for name in [name for name in sys.modules if name.startswith("inner_")]:
        del sys.modules[name]


def packed(function, environment=None):
    shipment = Shipment()
    made = build("f", udf(function, result_type="BIGINT"), environment or Environment(), {}, {}, "j", shipment)
    contents = {name: b"".join(content.chunks()) for name, content in shipment._contents.items()}
    return made, [(file.name, contents[file.hash]) for file in made.environment.files], contents[made.payload.hash]


def elsewhere(folder: Path, files, payload: bytes, call: str) -> str:
    """The call in a fresh Python, where the files lie as an executor puts them."""
    folder.mkdir()
    for name, content in files:
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(folder)
        else:
            (folder / name).write_bytes(content)
    code = f"""
    import sys
    sys.path[:0] = {[str(folder), str(Path(udfleet.__file__).parent.parent)]!r}
    import pickle
    f = pickle.loads(bytes.fromhex({payload.hex()!r}))
    print({call})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_they_and_what_they_import_travel(modules, tmp_path):
    def f(x):
        import inner_one

        return inner_one.g(x)

    _, files, payload = packed(f)
    assert [name for name, _ in files] == ["inner_one.py", "inner_package.tar", "inner_two.py"]
    assert "inner_one" not in sys.modules, "they are not imported here"
    assert elsewhere(tmp_path / "there", files, payload, "f(1)") == "2"
    with tarfile.open(fileobj=io.BytesIO(dict(files)["inner_package.tar"])) as archive:
        assert "inner_package/data.txt" in archive.getnames()


def test_in_whatever_is_within_a_function(modules, tmp_path):
    class Class:
        def method(self, x):
            return max(self.deep(y) for y in [x])

        def deep(self, x):
            def inner():
                import inner_two as other

                return other.h(x)

            return inner()

    _, files, payload = packed(lambda x: Class().method(x))
    assert elsewhere(tmp_path / "there", files, payload, "f(2)") == "3"


def test_a_relative_import_brings_the_package(modules, tmp_path):
    from inner_relative.run import run

    _, files, payload = packed(run)
    assert [name for name, _ in files] == ["inner_relative.tar"]
    assert elsewhere(tmp_path / "there", files, payload, "f(1)") == "3"


def test_modules_that_fail_here_travel_all_the_same(modules):
    def f(x):
        import inner_never

        return inner_never

    assert [name for name, _ in packed(f)[1]] == ["inner_never.py"]


def test_what_the_fleet_has_stays_here(modules):
    def f(x):
        import json
        import os.path

        import inner_two
        import no_such_module
        import numpy

        return json, os, numpy, inner_two, no_such_module

    named = Environment(files=[str(modules / "inner_two.py")])
    assert [name for name, _ in packed(f, named)[1]] == ["inner_two.py"]
    required = packed(f, Environment(requirements=["Inner-Two==1.0"]))
    assert required[1] == [], "a package of that name is installed there"
