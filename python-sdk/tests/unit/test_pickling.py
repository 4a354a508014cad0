"""What travels by value, and what an error says of what can't: its variable, its module, and the way out."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import operator
import sqlite3
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from test_packing import elsewhere

import udfleet
from udfleet import NotPicklableError, ScalarFunction, udf
from udfleet._packing.pickling import pickle_function

MODULES = {
    "helpers_pure": """
        import threading
        LOCK = threading.Lock()
        TABLE = {"a": 1}
        def pure(x):
            return x + TABLE["a"]
        def locked(x):
            with LOCK:
                return x
    """,
    "circle_one": """
        import circle_two
        def first(x):
            return circle_two.second(x) + 1
        def last(x):
            return 0
    """,
    "circle_two": """
        import circle_one
        def second(x):
            return circle_one.last(x) + 2
    """,
    "local_package/__init__": "from .inner import deep",
    "local_package/inner": """
        from . import other
        from .other import ONE
        def deep(x):
            return other.ONE + ONE + x
    """,
    "local_package/other": "ONE = 1",
    "namespace_package/part": """
        def inc(x):
            return x + 1
    """,
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    for name, text in MODULES.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] in {key.split("/")[0] for key in MODULES}]:
        del sys.modules[name]


@functools.lru_cache(maxsize=10)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@functools.singledispatch
def dispatched(x):
    return dispatched(len(x))


@dispatched.register
def _(x: int):
    return x + 1


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int

    @functools.cached_property
    def double(self):
        return self.x * 2


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    def run(self, x):
        return x


@contextlib.contextmanager
def three():
    yield 3


def in_context(x):
    with three() as y:
        return x + y


class Scaled:
    factor = 2

    def make(self):
        def scale(x):
            return x * self.factor

        return scale


def executed():
    scope: dict = {}
    exec("def f(x):\n    return x + 1", scope)
    return scope["f"]


class Odd:
    def __repr__(self):
        raise ValueError("no repr")

    def __reduce__(self):
        raise ValueError("its state \udcff")


WEAK = weakref.WeakValueDictionary()
CONNECTION = sqlite3.connect(":memory:")
LOCK = threading.Lock()


@pytest.mark.parametrize(
    ("function", "call", "result"),
    [
        (lambda x: fibonacci(x), "f(20)", "6765"),
        (fibonacci, "(f(20), f.cache_info().hits > 0, f.cache_info().maxsize)", "(6765, True, 10)"),
        (lambda x: dispatched(x), "(f(1), f('abc'))", "(2, 4)"),
        (dispatched, "(f(1), f('abc'), f.__name__)", "(2, 4, 'dispatched')"),
        (executed(), "f(1)", "2"),
        (lambda x: Color(x).name, "f(1)", "RED"),
        (lambda x: Point(x).double, "f(1)", "2"),
        (lambda x: WithMeta().run(x), "f(1)", "1"),
        (in_context, "f(1)", "4"),
        (Scaled().make(), "f(1)", "2"),
        (np.sqrt, "f(4.0)", "2.0"),
        (lambda x: np.sqrt(x), "f(4.0)", "2.0"),
        (float, "f('1.5')", "1.5"),
        (str.upper, "f('a')", "A"),
        (len, "f('abc')", "3"),
        ("{:>3}".format, "f(1)", "1"),
        (functools.partial(operator.add, 1), "f(1)", "2"),
        (operator.itemgetter(1), "f([1, 2])", "2"),
    ],
)
def test_what_travels(function, call, result):
    assert elsewhere(pickle_function(udf(function, result_type="BIGINT"), set()).data, call) == result


def test_local_modules_travel(modules):
    import circle_one
    import helpers_pure
    import local_package
    import namespace_package.part

    for function, result in [
        (circle_one.first, "3"),
        (lambda x: circle_one.first(x), "3"),
        (lambda x: helpers_pure.pure(x), "2"),
        (local_package.deep, "3"),
        (lambda x: local_package.deep(x), "3"),
        (namespace_package.part.inc, "2"),
        (lambda x: namespace_package.part.inc(x), "2"),
    ]:
        assert elsewhere(pickle_function(udf(function, result_type="BIGINT"), set()).data, "f(1)") == result


def test_what_a_module_left_behind_says_why(modules):
    import helpers_pure

    payload = pickle_function(udf(lambda x: getattr(helpers_pure, "LO" + x), result_type="BIGINT"), set()).data
    reason = "def why():\n try:\n  f('CK')\n except AttributeError as error:\n  return error"
    answer = elsewhere(payload, f"exec({reason!r}, globals()) or why()")
    assert "helpers_pure.LOCK did not travel" in answer and str(modules / "helpers_pure.py") in answer


def test_what_cant_travel_is_named(modules):
    import helpers_pure

    lambda_lock = lambda: LOCK.locked()  # noqa: E731

    class Holds(ScalarFunction):
        def __init__(self):
            self.connections = [{"main": CONNECTION}]

        def eval(self, x):
            return x

    def outer():
        yield 1

    generator = outer()
    bring = f"files=['{modules / 'helpers_pure.py'}']"
    for function, named, hint in [
        (lambda x: helpers_pure.locked(x), ["'LOCK'", "'helpers_pure'", "_thread.lock"], bring),
        (helpers_pure.locked, ["'LOCK'", "'helpers_pure'", "_thread.lock"], bring),
        (lambda_lock, ["'LOCK'", f"'{__name__}'", "_thread.lock"], "files=["),
        (lambda: lambda_lock(), ["'LOCK'", "by way of", "<lambda>"], "open()"),
        (Holds(), ["'connections'", "'main'", "Holds", "sqlite3.Connection"], "open()"),
        (lambda: WEAK["a"], ["'WEAK'", f"'{__name__}'", "weakref.WeakValueDictionary"], "open()"),
        (lambda: next(generator), ["'generator'", "a generator"], "open()"),
        (functools.partial(lambda a, b: a, b=CONNECTION), ["argument 'b'", "sqlite3.Connection"], "open()"),
        (lambda x, c=CONNECTION: c, ["default value", "sqlite3.Connection"], "open()"),
        (np.frompyfunc(lambda x: x, 1, 1), ["ufunc"], "open()"),
        (functools.partial(lambda x, odd: x, Odd()), ["Odd", "its state \\udcff"], "open()"),
        (lambda x: CONNECTION.execute, ["'CONNECTION'", f"'{__name__}'"], "open()"),
    ]:
        with pytest.raises(NotPicklableError) as caught:
            pickle_function(udf(function, result_type="BIGINT"), set())
        assert all(part in str(caught.value) for part in named), caught.value
        assert hint in caught.value.hint and caught.value.code == "INVALID_DEFINITION"


def test_open_files_and_covered_modules(modules, tmp_path):
    import helpers_pure

    with open(tmp_path / "out", "wb") as file, pytest.raises(NotPicklableError, match=r"'file'.*BufferedWriter"):
        pickle_function(udf(lambda x: file.write(x), result_type="BIGINT"), set())
    # In the environment's files, the module is imported there: its lock is no matter.
    by_name = pickle_function(udf(helpers_pure.locked, result_type="BIGINT"), {"helpers_pure"})
    assert elsewhere(by_name.data, "f(1)", modules) == "1"


SCRIPT = """
import functools, pickle, sys
from udfleet import udf
from udfleet._packing.pickling import pickle_function
@functools.lru_cache(None)
def helper(x):
    return x + OFFSET
OFFSET = 1
class Base:
    def __init__(self, x): self.x = x
class Derived(Base):
    def __init__(self, x): super().__init__(x)
@udf(result_type="BIGINT")
def run(x):
    return helper(Derived(x).x)
if __name__ == "__main__":
    sys.stdout.write(pickle_function(run, set()).data.hex())
"""


def test_a_package_that_is_run(tmp_path):
    """`python -m package.module`: its relative imports are local modules."""
    (tmp_path / "run_package").mkdir()
    (tmp_path / "run_package" / "__init__.py").write_text("")
    (tmp_path / "run_package" / "util.py").write_text("def one(x):\n    return x + 1\n")
    script = SCRIPT.replace("import functools", "from . import util\nimport functools").replace(
        "+ OFFSET", "* util.one(0)"
    )
    (tmp_path / "run_package" / "script.py").write_text(script.replace("Derived(x).x", "util.one(Derived(x).x)"))
    path = {"PYTHONPATH": f"{tmp_path}:{Path(udfleet.__file__).parent.parent}"}
    command = [sys.executable, "-m", "run_package.script"]
    done = subprocess.run(command, capture_output=True, text=True, env=path)
    assert done.returncode == 0, done.stderr
    assert elsewhere(bytes.fromhex(done.stdout), "f(1)") == "2"


@pytest.mark.parametrize("from_file", [True, False])
def test_scripts_and_notebooks(from_file, tmp_path):
    """A notebook is a `__main__` without a file."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [str(tmp_path / "script.py")] if from_file else ["-c", SCRIPT]
    path = {"PYTHONPATH": str(Path(udfleet.__file__).parent.parent)}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=path)
    assert done.returncode == 0, done.stderr
    assert elsewhere(bytes.fromhex(done.stdout), "f(1)") == "2"
