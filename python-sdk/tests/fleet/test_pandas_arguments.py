"""Pandas functions write to their arguments, as every pandas user does: nobody else sees it."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest
from fleet_support import BIGINT

import udfleet
from udfleet import DataTypes, Environment, udf

DOUBLE = DataTypes.DOUBLE()
PANDAS = Environment(requirements=["numpy", "pandas", "pyarrow"])


def clipped(s):
    s[s < 0] = 0
    return s


def both(a, b):
    a[:] = 1
    return a + b


def failing(s):
    s += 100
    if (s > 1000).any():
        raise ValueError("too large")
    return s


held = []


def kept(s):
    held.append(s)
    s *= 2
    return s


@pytest.fixture(scope="module")
def functions(fleet):
    for name, function, types in [
        ("clipped", clipped, [DOUBLE]),
        ("clipped_ints", clipped, [BIGINT]),
        ("both", both, [DOUBLE, DOUBLE]),
        ("failing", failing, [DOUBLE]),
    ]:
        declared = udf(function, types, types[0], func_type="pandas", name=name)
        fleet.register_function(name, declared, environment=PANDAS)
    return fleet


def test_the_next_call_sees_its_own_input(functions):
    for start in range(20):
        values = [float(value) for value in range(-start, 5000)]
        assert functions.call("clipped", values).to_pylist() == [max(value, 0.0) for value in values]
    assert functions.call("clipped_ints", [-1, 2, -3]).to_pylist() == [0, 2, 0]
    assert functions.call("clipped", [-1.0, None, 3.0]).to_pylist() == [0.0, None, 3.0]


def test_arguments_of_one_column_are_apart(functions):
    table = functions.from_arrow(pa.table({"x": [5.0, 6.0]}))
    rows = table.select("both(x, x) as s, x, clipped(x) as c, both(clipped(x), clipped(x)) as d").to_arrow()
    assert rows.to_pydict() == {"s": [6.0, 7.0], "x": [5.0, 6.0], "c": [5.0, 6.0], "d": [6.0, 7.0]}


def test_halves_that_are_run_again_begin_with_the_input(functions):
    result = functions.call("failing", [1.0, 2.0, 950.0, 3.0], on_error="null").to_pylist()
    assert result == [101.0, 102.0, None, 103.0]


def test_an_argument_that_is_kept_stays():
    def keep(s):
        if (s == 0).all():
            return s + sum(float(earlier.sum()) for earlier in held)
        return kept(s)

    with udfleet.local(executors=1, interpreters=1) as alone:
        for name, function in [("keep", keep), ("clipped", clipped)]:
            alone.register_function(name, udf(function, DOUBLE, DOUBLE, func_type="pandas"), environment=PANDAS)
        for value in [1.0, 2.0, 3.0]:
            assert alone.call("keep", [value] * 1000).to_pylist() == [2 * value] * 1000
            assert alone.call("clipped", [-1.0] * 1000).to_pylist() == [0.0] * 1000
        assert alone.call("keep", [0.0]).to_pylist() == [2 * (1.0 + 2.0 + 3.0) * 1000]


def test_times_can_be_written(fleet):
    @udf(input_types=[DataTypes.TIMESTAMP(6)], result_type=DataTypes.TIMESTAMP(6), func_type="pandas")
    def first(s):
        s[1] = s[0]
        return s

    fleet.register_function("first_time", first, environment=PANDAS)
    moments = [datetime.datetime(2024, 1, day) for day in (1, 2, 3)]
    assert fleet.call("first_time", moments).to_pylist() == [moments[0], moments[0], moments[2]]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["b", "a"], [{"a": 2, "b": "x"}]),
        (["b", "x"], None),
        (["b", "b"], None),
    ],
)
def test_frames_go_by_name(fleet, columns, expected):
    result = "ROW<a BIGINT, b STRING>"

    def framed(s):
        import pandas

        frame = pandas.DataFrame({"first": "x", "second": s + 1})
        frame.columns = columns
        return frame

    declared = udf(framed, BIGINT, result, func_type="pandas")
    fleet.register_function("framed", declared, environment=PANDAS)
    if expected:
        assert fleet.call("framed", [1]).to_pylist() == expected
        return
    with pytest.raises(udfleet.ResultTypeError) as failure:
        fleet.call("framed", [1])
    assert repr(columns) in failure.value.value


def test_frames_without_names_go_by_position(fleet):
    def framed(s):
        import pandas

        return pandas.DataFrame([[value, str(value)] for value in s])

    declared = udf(framed, BIGINT, "ROW<a BIGINT, b STRING>", func_type="pandas")
    fleet.register_function("framed", declared, environment=PANDAS)
    assert fleet.call("framed", [1]).to_pylist() == [{"a": 1, "b": "1"}]


def test_batches_and_tables_go_by_name(fleet):
    for kind in ["RecordBatch", "Table", "StructArray"]:

        def given(s, kind=kind):
            import pyarrow

            columns, names = [pyarrow.array(["x"] * len(s)), s], ["b", "a"]
            if kind == "StructArray":
                return pyarrow.StructArray.from_arrays(columns, names)
            return getattr(pyarrow, kind).from_arrays(columns, names)

        declared = udf(given, BIGINT, "ROW<a BIGINT, b STRING>", func_type="arrow")
        fleet.register_function("given", declared, environment=PANDAS)
        assert fleet.call("given", [7]).to_pylist() == [{"a": 7, "b": "x"}], kind


def test_named_tuples_go_by_name(fleet):
    import collections

    pair, other = collections.namedtuple("pair", ["b", "a"]), collections.namedtuple("other", ["b", "x"])

    @udf(input_types=BIGINT, result_type="ROW<a BIGINT, b STRING>")
    def named(n):
        return pair("x", n) if n else other("x", n)

    fleet.register_function("named", named)
    assert fleet.call("named", [7]).to_pylist() == [{"a": 7, "b": "x"}]
    with pytest.raises(udfleet.ResultTypeError):
        fleet.call("named", [0])
