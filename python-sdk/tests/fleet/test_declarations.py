"""What can be declared, run by a fleet: annotations, types and builtins, callable objects, helpers of a script."""

from __future__ import annotations

import functools
import operator
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Optional

import numpy as np
import pyarrow as pa
import pytest

from udfleet import AggregateFunction, Environment, Row, udaf, udf, udtf


class Model:
    """As torch modules are: called, and with an `eval` that switches a mode; as many are: opened and closed by hand."""

    def __init__(self):
        self.training = True

    def __call__(self, x):
        return x * 2 if self.training else x * 3

    def eval(self):
        self.training = False
        return self

    def open(self):
        raise RuntimeError("nobody asked for that")

    def close(self):
        raise RuntimeError("nobody asked for that")

    def accumulate(self, *rows):
        raise RuntimeError("nobody asked for that")


def test_objects_are_called_whatever_methods_they_have(fleet):
    fleet.register_function("model", udf(Model(), "BIGINT", "BIGINT"))
    fleet.register_function("evaluated", udf(Model().eval(), "BIGINT", "BIGINT"))
    assert fleet.call("model", [1, 2]).to_pylist() == [2, 4]
    assert fleet.call("evaluated", [1, 2]).to_pylist() == [3, 6]
    assert sorted(fleet.drop_function("model") + fleet.drop_function("evaluated")) == ["evaluated@1", "model@1"]


class Total(AggregateFunction):
    """With a method that only other kinds of functions have."""

    def create_accumulator(self):
        return [0]

    def accumulate(self, accumulator, value: int):
        accumulator[0] += value

    def get_value(self, accumulator) -> int:
        return self.eval(accumulator)

    def eval(self, accumulator):
        return accumulator[0]


def test_each_kind_has_its_own_methods(fleet):
    fleet.register_function("total", udaf(Total))
    assert fleet.call("total", [1, 2, 4]).to_pylist() == [7]


def test_types_come_from_annotations(fleet):
    @udf
    def described(x: int, tags: list[str], price: Optional[Decimal]) -> dict[str, float]:  # noqa: UP045
        return {tag: x * float(price or 0) for tag in tags}

    @udtf
    def pairs(text: str) -> Iterator[tuple[str, int]]:
        for word in text.split():
            yield word, len(word)

    view = fleet.register_function("described", described)
    assert view.signature == "(BIGINT, ARRAY<STRING>, DECIMAL(38, 18)) -> MAP<STRING, DOUBLE>"
    assert fleet.call("described", [2], pa.array([["a", "b"]]), [Decimal("1.5")]).to_pylist() == [
        [("a", 3.0), ("b", 3.0)]
    ]
    fleet.register_function("pairs", pairs)
    assert fleet.call("pairs", ["a bc"]).select(["f0", "f1"]).to_pylist() == [
        {"f0": "a", "f1": 1},
        {"f0": "bc", "f1": 2},
    ]


@pytest.mark.parametrize(
    ("function", "inputs", "result", "column", "expected"),
    [
        (str.upper, "STRING", "STRING", ["a", "b"], ["A", "B"]),
        (float, "STRING", "DOUBLE", ["1.5", "2"], [1.5, 2.0]),
        (Decimal, "STRING", "DECIMAL(10, 2)", ["1.50"], [Decimal("1.50")]),
        (len, "TEXT", "int32", ["abc"], [3]),
        (functools.partial(operator.add, 1), int, pa.int64(), [1, 2], [2, 3]),
        (functools.partial(round, ndigits=1), float, float, [1.26], [1.3]),
        ("{:>3}".format, int, str, [1], ["  1"]),
        (str, int, "VARCHAR", [10**18], [str(10**18)]),
    ],
)
def test_types_and_builtins_are_functions(fleet, function, inputs, result, column, expected):
    fleet.register_function("builtin", udf(function, inputs, result))
    assert fleet.call("builtin", column).to_pylist() == expected


def test_ufuncs(fleet):
    environment = Environment(requirements=[f"numpy=={np.__version__}"])
    fleet.register_function("root", udf(np.sqrt, "DOUBLE", "DOUBLE"), environment=environment)
    assert fleet.call("root", [4.0, 9.0]).to_pylist() == [2.0, 3.0]


def test_fields_may_have_any_name(fleet):
    names = ["self", "count", "as_dict", "_values", "_names", "a b", "class"]
    row_type = "ROW<" + ", ".join(f"`{name}` BIGINT" for name in names) + ">"

    def doubled(row):
        return Row(**{name: row[name] * 2 for name in reversed(names)})

    fleet.register_function("doubled", udf(doubled, row_type, row_type))
    column = pa.array([{name: index for index, name in enumerate(names)}])
    assert fleet.call("doubled", column).to_pylist() == [{name: 2 * index for index, name in enumerate(names)}]


SCRIPT = """
import functools, sys
import udfleet
from udfleet import udf

@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

scope = {}
exec("def executed(x):\\n    return x + 1", scope)

@udf
def run(x: int) -> int:
    return fibonacci(x)

if __name__ == "__main__":
    with udfleet.connect(sys.argv[1], token=sys.argv[2]) as fleet:
        fleet.register_function("script_run", run)
        fleet.register_function("script_executed", udf(scope["executed"], int, int))
        print(fleet.call("script_run", [20]).to_pylist(), fleet.call("script_executed", [1]).to_pylist())
"""


def test_helpers_of_a_script(fleet, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), fleet.address, fleet.token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("[6765] [2]\n", 0), done.stderr


@functools.singledispatch
def size(value):
    return len(value)


@size.register
def _(value: int):
    return value


def test_functions_that_look_at_the_type(fleet):
    fleet.register_function("sized", udf(lambda a, b: size(a) + size(b), [str, int], int))
    assert fleet.call("sized", ["abc"], [4]).to_pylist() == [7]
