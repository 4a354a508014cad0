"""The Python version belongs to the environment: every CPython that the fleet offers runs functions."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from fleet_support import BIGINT, STRING, failure_of

import udfleet
from udfleet import Environment, udf

MODULE = """
import sys
from udfleet import DataTypes, Row, ScalarFunction, udf

@udf(input_types=[DataTypes.BIGINT(), DataTypes.BIGINT()], result_type="STRING")
def version_and_sum(a, b):
    return "%d.%d: %d" % (sys.version_info[0], sys.version_info[1], a + b)

class Describe(ScalarFunction):
    def open(self, function_context):
        self.prefix = function_context.get_job_parameter("prefix", "<")

    def eval(self, row, values):
        if not values:
            raise ValueError("no values")
        return Row(name=self.prefix + row.name, total=sum(values))

describe = udf(Describe(), ["ROW<name STRING>", "ARRAY<DOUBLE>"], "ROW<name STRING, total DOUBLE>")
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pythons")
    path = folder / "any_python.py"
    path.write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield path
    sys.path.remove(str(folder))


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_a_module_runs_on_every_python(fleet, module, version):
    """What a user of another Python does: the code lies in a file, which travels, and is imported there."""
    import any_python

    name = version.replace(".", "_")
    environment = Environment(python=version, files=[module])
    offered = {".".join(python.split(".")[:2]) for python in fleet.executors()[0].pythons}
    if version not in offered:
        error = failure_of(
            udfleet.InfeasibleError, fleet.register_function, f"sum_{name}", any_python.version_and_sum, environment
        )
        assert version in str(error) and all(other in str(error) for other in offered)
        return
    view = fleet.register_function(f"sum_{name}", any_python.version_and_sum, environment)
    assert view.python == version
    assert fleet.call(f"sum_{name}", [1, 2], [3, 4]).to_pylist() == [f"{version}: 4", f"{version}: 6"]
    fleet.register_function(f"describe_{name}", any_python.describe, environment)
    call = [[{"name": "a"}], [[1.5, 2.0]]]
    assert fleet.call(f"describe_{name}", *call).to_pylist() == [{"name": "<a", "total": 3.5}]
    error = failure_of(udfleet.UserCodeError, fleet.call, f"describe_{name}", [{"name": "a"}], [[]])
    assert error.exception.frames[-1].source == 'raise ValueError("no values")' and error.row == 0
    big = udf(any_python.version_and_sum.func, [BIGINT, BIGINT], BIGINT)
    fleet.register_function(f"wrong_{name}", big, environment)
    assert "a str is no integer" in str(failure_of(udfleet.ResultTypeError, fleet.call, f"wrong_{name}", 1, 2))


def test_every_offered_python_is_covered(fleet):
    offered = {".".join(python.split(".")[:2]) for python in fleet.executors()[0].pythons}
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in offered
    assert all(int(version.split(".")[1]) >= 9 for version in offered)


def test_the_default_is_the_clients_version(fleet):
    fleet.register_function("here", udf(lambda: ".".join(map(str, __import__("sys").version_info[:2])), [], STRING))
    assert fleet.call("here").to_pylist() == [f"{sys.version_info[0]}.{sys.version_info[1]}"]


@pytest.mark.parametrize("func_type", ["arrow", "pandas"])
def test_packages_for_another_python(fleet, tmp_path, monkeypatch, func_type):
    (tmp_path / f"columns_{func_type}.py").write_text(
        "import sys\nfrom udfleet import udf\n"
        f"@udf(input_types='BIGINT', result_type='BIGINT', func_type={func_type!r})\n"
        "def minor(column):\n    import pyarrow.compute as pc\n"
        "    return pc.add(column, sys.version_info[1]) if hasattr(column, 'type') else column + sys.version_info[1]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__(f"columns_{func_type}")
    others = {p.split(".")[1] for p in fleet.executors()[0].pythons} - {str(sys.version_info[1])}
    chosen = "12" if "12" in others else str(sys.version_info[1])
    environment = Environment(python=f"3.{chosen}", files=[tmp_path / f"columns_{func_type}.py"])
    fleet.register_function(f"minor_{func_type}", module.minor, environment)
    assert fleet.call(f"minor_{func_type}", [0, 100]).to_pylist() == [int(chosen), 100 + int(chosen)]


def test_a_closure_for_another_version_is_refused_with_what_to_do(fleet):
    others = {p.split(".")[1] for p in fleet.executors()[0].pythons} - {str(sys.version_info[1])}
    for minor in others or {"99"}:
        error = failure_of(
            udfleet.InfeasibleError,
            fleet.register_function,
            "closure",
            udf(lambda a: a, BIGINT, BIGINT),
            Environment(python=f"3.{minor}"),
        )
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        assert here in str(error) and f"3.{minor}" in str(error), str(error)
        # Where there is another Python, the function could go there as a file.
        assert ("files" if others else "offers") in error.hint, "the way out is named"


def test_a_python_by_its_path(fleet):
    def where():
        import sys

        return sys.base_prefix

    fleet.register_function("by_path", udf(where, [], STRING), Environment(python=sys.executable))
    assert fleet.call("by_path").to_pylist() == [sys.base_prefix]
    error = failure_of(
        udfleet.EnvironmentFailedError,
        fleet.register_function,
        "no_path",
        udf(where, [], STRING),
        Environment(python="/no/such/python3.11"),
    )
    assert "/no/such/python3.11" in str(error)


def test_a_python_by_a_command_on_the_executors_path(tmp_path, monkeypatch):
    command = tmp_path / "house-python"
    command.symlink_to(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def where():
        import sys

        return sys.base_prefix

    with udfleet.local(executors=1, interpreters=1) as fleet:
        monkeypatch.undo()
        with udfleet.connect(fleet.address, fleet.token) as other:
            for client, name in [(fleet, "by_command"), (other, "by_command_too")]:
                view = client.register_function(name, udf(where, [], STRING), Environment(python=command.name))
                assert view.python == command.name
            assert fleet.function("by_command").environment == other.function("by_command_too").environment
            assert other.call("by_command").to_pylist() == fleet.call("by_command_too").to_pylist() == [sys.base_prefix]
