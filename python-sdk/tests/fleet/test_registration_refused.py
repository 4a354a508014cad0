"""Registrations that can't work: refused in bounded time, with the reason, and nothing is left registered."""

from __future__ import annotations

import sys
import threading
import time

import click
import pytest
from fleet_support import BIGINT, eventually, failure_of

import udfleet
from udfleet import Environment, ScalarFunction, udf


def identity(a):
    return a


class Opens(ScalarFunction):
    def __init__(self, how):
        self.how = how

    def open(self, function_context):
        import os
        import time

        if self.how == "raise":
            raise ConnectionError("the model server is away")
        if self.how == "exit":
            os._exit(9)
        if self.how == "hang":
            time.sleep(1e9)

    def eval(self, a):
        return a


def refused(fleet, kind, name, f, **options):
    """The error of a registration, after which the name is unknown."""
    start = time.monotonic()
    error = failure_of(kind, fleet.register_function, name, f, **options)
    assert time.monotonic() - start < 60
    assert name not in {view.name for view in fleet.functions()}
    return error


def test_a_requirement_that_does_not_exist(fleet):
    lines: list[str] = []
    error = refused(
        fleet,
        udfleet.EnvironmentFailedError,
        "needs_nothing_there_is",
        udf(identity, BIGINT, BIGINT),
        environment=Environment(requirements=["udfleet-no-such-package"]),
        on_event=lines.append,
    )
    assert error.code == "ENVIRONMENT_FAILED" and error.executor in ("executor-1", "executor-2")
    assert 'package "udfleet-no-such-package" can\'t be installed' in str(error)
    assert "udfleet-no-such-package" in error.hint
    assert any("udfleet-no-such-package" in line for line in lines), "the build's own words"


def test_a_package_that_the_offline_folder_lacks(fleet, tmp_path):
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "README").write_text("nothing yet")
    error = refused(
        fleet,
        udfleet.EnvironmentFailedError,
        "offline",
        udf(identity, BIGINT, BIGINT),
        environment=Environment(requirements=["haversine"], requirements_cache=tmp_path / "packages"),
    )
    assert 'package "haversine" can\'t be installed' in str(error)


def test_a_python_that_no_executor_has(fleet):
    import math

    error = refused(
        fleet,
        udfleet.InfeasibleError,
        "future",
        udf(math.sqrt, "DOUBLE", "DOUBLE"),
        environment=Environment(python="3.99"),
    )
    offered = fleet.executors()[0].pythons
    assert "3.99" in str(error) and error.code == "INFEASIBLE"
    assert all(".".join(version.split(".")[:2]) in str(error) for version in offered), "what the fleet offers"


def test_a_closure_for_another_python(fleet):
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    other = "3.12" if here == "3.11" else "3.11"
    error = refused(
        fleet,
        udfleet.InfeasibleError,
        "mismatched",
        udf(lambda a: a, BIGINT, BIGINT),
        environment=Environment(python=other),
    )
    assert here in str(error) and other in str(error) and error.hint


def test_a_module_that_is_missing_there(fleet):
    error = refused(fleet, udfleet.LoadError, "needs_click", udf(lambda a: click.style(a), "STRING", "STRING"))
    assert error.code == "LOAD_FAILED" and error.exception.type == "ModuleNotFoundError"
    assert "No module named 'click'" in str(error)
    assert '"click"' in error.hint and "requirements" in error.hint


def test_open_raises(fleet):
    error = refused(fleet, udfleet.LoadError, "opens_raise", udf(Opens("raise"), BIGINT, BIGINT))
    assert "ConnectionError: the model server is away" in str(error)
    assert error.exception.frames[-1].source == 'raise ConnectionError("the model server is away")'
    assert error.function == "opens_raise@1" and error.executor


def test_open_ends_its_interpreter(fleet):
    error = refused(fleet, udfleet.LoadError, "opens_exit", udf(Opens("exit"), BIGINT, BIGINT))
    assert "loading the function ends its interpreter" in str(error) and "status 9" in str(error)
    assert error.exit.status == 9


def test_open_hangs_and_disturbs_nobody(fleet):
    """It is tried in the only interpreter of each executor: others serve the other functions meanwhile."""
    fleet.register_function("beside_it", udf(lambda a: a + 1, BIGINT, BIGINT))
    errors = []

    def register():
        errors.append(refused(fleet, udfleet.LoadError, "opens_hang", udf(Opens("hang"), BIGINT, BIGINT), timeout=5))

    registration = threading.Thread(target=register)
    registration.start()
    eventually("it is being loaded", lambda: "opens_hang" in {view.name for view in fleet.functions()})
    longest = 0.0
    while registration.is_alive():
        start = time.monotonic()
        assert fleet.call("beside_it", [1]).to_pylist() == [2]
        longest = max(longest, time.monotonic() - start)
    registration.join()
    (error,) = errors
    assert "not ready within 5 s" in str(error) and "timeout" in error.hint
    assert longest < 4, "a spare interpreter is started after 2 s"
    start = time.monotonic()
    assert fleet.register_function("after_it", udf(lambda a: a + 2, BIGINT, BIGINT)).state == "READY"
    assert fleet.call("after_it", [1]).to_pylist() == [3] and time.monotonic() - start < 10


@pytest.mark.parametrize("name", ["two words", "", "a@b", "x" * 129, "a/b"])
def test_names(fleet, name):
    error = failure_of(udfleet.InvalidDefinitionError, fleet.register_function, name, udf(identity, BIGINT, BIGINT))
    assert "name" in str(error) and (len(name) > 128 or name in str(error))


def test_config_keys(fleet):
    error = refused(
        fleet,
        udfleet.InvalidConfigError,
        "misspelt",
        udf(identity, BIGINT, BIGINT),
        config={"udfleet.call.time-out": 5},
    )
    assert 'unknown config key "udfleet.call.time-out"' in str(error)
    assert error.hint == 'did you mean "udfleet.call.timeout"?'


def test_a_definition_that_failed_leaves_the_earlier_version(fleet):
    fleet.register_function("kept", udf(lambda a: a, BIGINT, BIGINT))
    failure_of(udfleet.LoadError, fleet.register_function, "kept", udf(Opens("raise"), BIGINT, BIGINT))
    assert fleet.function("kept").reference == "kept@1"
    assert fleet.call("kept", [3]).to_pylist() == [3]
