"""Types that declarations take from annotations, from Python's and Arrow's types, and what they refuse."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import operator
import subprocess
import sys
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, Union

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import udfleet
from udfleet import (
    AggregateFunction,
    AsyncScalarFunction,
    DataTypes,
    Row,
    ScalarFunction,
    TableFunction,
    udaf,
    udf,
    udtf,
)
from udfleet._client.views import (
    Counters,
    ExecutorView,
    FunctionOnExecutor,
    FunctionView,
    ProfileView,
    ProgressView,
    RowErrorsView,
    SandboxView,
)
from udfleet.types.coerce import data_type

T = DataTypes
Celsius = NewType("Celsius", float)


class Point:
    pass


def inputs(declared):
    return [str(found) for found in declared.input_types]


def test_without_parentheses_and_with():
    @udf
    def add(x: int, y: float) -> str:
        return str(x + y)

    @udf()
    def again(x: int, y: float) -> str:
        return str(x + y)

    for declared in (add, again):
        assert (inputs(declared), str(declared.result_type), declared(1, 2.0)) == (
            ["BIGINT", "DOUBLE"],
            "STRING",
            "3.0",
        )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE"), (str, "STRING"), (bytes, "BYTES"), (bytearray, "BYTES"),
        (datetime.date, "DATE"), (datetime.time, "TIME(6)"), (datetime.datetime, "TIMESTAMP(6)"),
        (datetime.timedelta, "INTERVAL DAY TO SECOND"), (Decimal, "DECIMAL(38, 18)"),
        (Optional[int], "BIGINT"), (Union[str, None], "STRING"), (list[int], "ARRAY<BIGINT>"),
        (typing.List[str], "ARRAY<STRING>"),  # noqa: UP006
        (typing.Sequence[float], "ARRAY<DOUBLE>"),
        (dict[str, float], "MAP<STRING, DOUBLE>"), (typing.Mapping[str, list[int]], "MAP<STRING, ARRAY<BIGINT>>"),
        (tuple[int, str], "ROW<f0 BIGINT, f1 STRING>"), (tuple[int, ...], "ARRAY<BIGINT>"),
        (Annotated[Decimal, T.DECIMAL(10, 2)], "DECIMAL(10, 2)"), (Annotated[int, "INT"], "INT"),
        (Annotated[int, 7], "BIGINT"), (Celsius, "DOUBLE"), (Literal["a", "b"], "STRING"),
        (np.int32, "INT"), (np.float32, "FLOAT"), (np.bool_, "BOOLEAN"), (np.uint16, "INT"),
        (pa.int64(), "BIGINT"), (pa.uint8(), "SMALLINT"), (pa.list_(pa.string()), "ARRAY<STRING>"),
        (pa.timestamp("ms"), "TIMESTAMP(3)"), (pa.timestamp("us", "UTC"), "TIMESTAMP_LTZ(6)"),
        (pa.decimal128(9, 2), "DECIMAL(9, 2)"), (pa.struct([("a", pa.int8())]), "ROW<a TINYINT>"),
        ("text", "STRING"), ("int64", "BIGINT"), ("bigint", "BIGINT"), (T.INT(), "INT"),
    ],
)  # fmt: skip
def test_every_form_of_a_type(given, expected):
    assert str(data_type(given, "it")) == expected
    declared = udf(lambda x: x, [given], given)
    assert (inputs(declared), str(declared.result_type)) == ([expected], expected)
    if not isinstance(given, (udfleet.DataType, str)):

        def annotated(x):
            return x

        annotated.__annotations__ = {"x": given, "return": given}
        assert (inputs(udf(annotated)), str(udf(annotated).result_type)) == ([expected], expected)
    assert str(T.ROW([T.FIELD("a", given)]).fields[0].data_type) == str(T.ARRAY(given).element) == expected


@pytest.mark.parametrize(
    "given",
    [object, Any, list, dict, set, set[int], Union[int, str], None, 3, Point, pd.Series, pa.Array, pa.array([1]), Row],
)
def test_what_says_no_type_is_refused(given):
    with pytest.raises(TypeError):
        data_type(given, "it")


def test_annotations_as_text():
    Local = int

    @udf
    def local(x: Optional[Local]) -> int:  # noqa: UP045
        return Local(x)

    @udf
    def sql(x: "DECIMAL(10, 2)", y: "bigint") -> "ARRAY<TEXT>":  # type: ignore  # noqa: F821, F722, UP037
        return [x, y]

    @udf
    def union(x: int | None, y: list[int | None]) -> str | None:
        return x

    assert (inputs(local), str(local.result_type)) == (["BIGINT"], "BIGINT")
    assert (inputs(sql), str(sql.result_type)) == (["DECIMAL(10, 2)", "BIGINT"], "ARRAY<STRING>")
    assert (inputs(union), str(union.result_type)) == (["BIGINT", "ARRAY<BIGINT>"], "STRING")


MODULE = """{future}
def known(x: {quote}Decimal{quote}, y: {quote}time{quote}) -> {quote}datetime{quote}:
    return x
def sql(x: "DECIMAL(9, 2)") -> "time":
    return x
def unquoted(x: {quote}decimal{quote}) -> int:
    return x
"""


@pytest.mark.parametrize(("future", "quote"), [("from __future__ import annotations", ""), ("", '"')])
def test_names_that_were_imported_for_type_checkers_only(future, quote):
    """`Decimal` is Python's there, not SQL's DECIMAL of no decimal places."""
    scope = {"__name__": "typed"}
    exec(compile(MODULE.format(future=future, quote=quote), "typed.py", "exec", dont_inherit=True), scope)
    known = udf(scope["known"])
    assert (inputs(known), str(known.result_type)) == (["DECIMAL(38, 18)", "TIME(6)"], "TIMESTAMP(6)")
    assert inputs(udf(scope["sql"])) == ["DECIMAL(9, 2)"]
    if future:
        with pytest.raises(TypeError, match="name 'decimal' is not defined"):
            udf(scope["unquoted"])


def test_which_parameters_count():
    def default(x: int, unit: str = "km") -> str:
        return unit * x

    def several(x: int, *rest: int) -> int:
        return x

    def untyped(x, y) -> int:
        return x

    def nothing() -> int:
        return 1

    def series(x: pd.Series, y: Any) -> float:
        return x.sum()

    def method(self, x: int) -> int:
        return x

    assert inputs(udf(default)) == ["BIGINT"]
    assert inputs(udf(functools.partial(default, unit="m"))) == ["BIGINT"]
    assert inputs(udf(method)) == ["BIGINT"]
    assert inputs(udf(nothing)) == []
    for open_one in (several, untyped, series):
        assert udf(open_one).input_types is None
    assert udf(lambda: 1, result_type=int).input_types is None
    assert inputs(udf(default, input_types=["STRING", "STRING"])) == ["STRING", "STRING"]


def test_classes_and_other_kinds():
    class Add(ScalarFunction):
        def eval(self, x: int, y: int) -> int:
            return x + y

    class Later(AsyncScalarFunction):
        async def eval(self, x: int) -> str:
            return str(x)

    class Split(TableFunction):
        def eval(self, x: str) -> Iterator[tuple[str, int]]:
            yield x, 1

    class Total(AggregateFunction):
        def create_accumulator(self):
            return [0]

        def accumulate(self, accumulator, value: int):
            accumulator[0] += value

        def get_value(self, accumulator) -> int:
            return accumulator[0]

    class Callable:
        def __call__(self, x: int) -> int:
            return x

    @udtf
    def words(text: str) -> Iterator[str]:
        yield text

    @udaf(func_type="pandas")
    def spread(values: pd.Series) -> float:
        return values.max() - values.min()

    for declared, types, result in [
        (udf(Add), ["BIGINT", "BIGINT"], "BIGINT"),
        (udf(Later()), ["BIGINT"], "STRING"),
        (udtf(Split), ["STRING"], "ROW<f0 STRING, f1 BIGINT>"),
        (udaf(Total()), ["BIGINT"], "BIGINT"),
        (udf(Callable()), ["BIGINT"], "BIGINT"),
        (words, ["STRING"], "STRING"),
    ]:
        assert (inputs(declared), str(declared.result_type)) == (types, result)
    assert (spread.input_types, str(spread.result_type)) == (None, "DOUBLE")


def test_refusals_name_the_parameter():
    def mixed(x: int, y) -> int:
        return x

    def own(x: Point) -> int:
        return 1

    def unknown(x: Nothing) -> int:  # noqa: F821
        return 1

    def no_result(x: int):
        return x

    def nothing(x: int) -> None:
        pass

    for function, complaint in [
        (mixed, r"'y': annotate all parameters, or give input_types"),
        (own, r"parameter 'x': .*class Point.*input_types"),
        (unknown, r"parameter 'x': .*name 'Nothing' is not defined"),
        (no_result, "result_type is missing, and no return annotation"),
        (nothing, "its return annotation: .*None"),
        (udf, "not a function|result_type is missing|annotation"),
    ]:
        with pytest.raises(TypeError, match=complaint):
            udf(function)
    # Where the result is declared, as in PyFlink, annotations that say nothing leave the columns open.
    assert udf(own, result_type="BIGINT").input_types is udf(mixed, result_type=int).input_types is None


def test_types_and_builtins_are_functions():
    for function, arguments, expected, name in [
        (str.upper, ("a",), "A", "upper"),
        (float, ("1.5",), 1.5, "float"),
        (Decimal, ("1.5",), Decimal("1.5"), "Decimal"),
        (len, ("abc",), 3, "len"),
        (operator.add, (1, 2), 3, "add"),
        (operator.itemgetter("a"), ({"a": 3},), 3, "itemgetter"),
        (np.sqrt, (4.0,), 2.0, "sqrt"),
        (functools.partial(round, ndigits=1), (1.26,), 1.3, "partial"),
        ("{:>3}".format, (1,), "  1", "format"),
    ]:
        declared = udf(function, result_type="STRING")
        assert (declared(*arguments), declared.name, declared.input_types) == (expected, name, None)


def test_old_pythons_read_new_annotations():
    """Modules in `files` are imported on interpreters, whose Python may not know `int | None`."""
    code = f"""from __future__ import annotations
import sys
sys.path.insert(0, {str(Path(udfleet.__file__).parent.parent)!r})
from udfleet import udf
@udf
def f(x: int | None, y: list[str | None]) -> str | None:
    return x
assert [str(t) for t in f.input_types] == ["BIGINT", "ARRAY<STRING>"], f.input_types
"""
    pythons = [Path(sys.executable), *Path.home().glob(".pyenv/versions/3.9*/bin/python")]
    for python in pythons:
        done = subprocess.run(
            [str(python), "-S", "-I", "-B", "-c", code],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_reprs_are_short():
    wide = T.ROW([T.FIELD(f"column_{index}", T.STRING()) for index in range(500)])
    declared = udf(lambda *a: a, [wide], wide, name="wide")
    view = udfleet.ListView(*range(10_000))
    mapped = udfleet.MapView({index: index for index in range(10_000)})
    environment = udfleet.Environment(requirements=[f"package{index}" for index in range(500)])
    for shown in (declared, view, mapped, environment, declared.alias("x")):
        assert len(repr(shown)) < 400, shown
    assert repr(view).endswith("8, 9, ... 9990 more)") and repr(udfleet.ListView(1)) == "ListView(1)"
    assert repr(udfleet.MapView({1: "a"})) == "MapView({1: 'a'})"


def test_views_of_a_fleet_are_short():
    zero = datetime.datetime.now(datetime.timezone.utc)
    on_executor = FunctionOnExecutor("e", "f@1", "READY", 1, None)
    values = {
        str: "x" * 1000, int: 3, float: 1.0, bool: True, list: [on_executor] * 100, dict: {str(i): i for i in range(1000)},
        SandboxView: SandboxView("off", ["x" * 50]), datetime.datetime: zero, udfleet.DataType: T.ROW([T.FIELD(f"c{i}", T.STRING()) for i in range(500)]),
    }  # fmt: skip
    for cls in (FunctionView, ExecutorView, Counters, ProfileView, RowErrorsView):
        given = {}
        for field in dataclasses.fields(cls):
            kind = next(
                k for k in values if field.type.split("[")[0].split(" ")[0] in (k.__name__, f"datetime.{k.__name__}")
            )
            given[field.name] = "f" if field.name in ("name", "function", "id", "executor") else values[kind]
        if "input_types" in given:
            given["input_types"] = [T.STRING()] * 500
        for name in ("address", "kind", "state"):
            if name in given:
                given[name] = "a"
        assert len(repr(cls(**given))) < 400 and "f" in repr(cls(**given))
    total = Counters(**{field.name: "f" if field.name == "function" else 0 for field in dataclasses.fields(Counters)})
    assert repr(ProgressView(total, 1.0, 2.0, 3.0, {str(i): total for i in range(1000)})) == (
        "<progress of f: 0 calls, 0 rows, 0 errors, p99 3.0 ms>"
    )
