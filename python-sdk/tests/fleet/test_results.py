"""What a function returns does not fit its declared type: the error names the function, the row and the value."""

from __future__ import annotations

import pytest
from fleet_support import BIGINT, STRING, batches, failure_of

import udfleet
from udfleet import DataTypes, udf


def odd(kind):
    return {
        "good": 1,
        "text": "seven",
        "fraction": 1.9,
        "list": [1],
        "too large": 2**63,
        "too small": -(2**63) - 1,
        "object": Unshowable(),
    }[kind]


class Unshowable:
    def __repr__(self):
        raise ValueError("no repr")


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("text", "'seven'", "does not fit BIGINT: a str is no integer"),
        ("fraction", "1.9", "does not fit BIGINT: it is no whole number"),
        ("list", "[1]", "does not fit BIGINT: a list is no integer"),
        ("too large", str(2**63), "does not fit BIGINT: out of range"),
        ("too small", str(-(2**63) - 1), "does not fit BIGINT: out of range"),
        ("object", "<Unshowable whose repr() fails>", "(Unshowable), which does not fit BIGINT"),
    ],
)
def test_general_values(fleet, kind, value, said):
    view = fleet.register_function("odd", udf(odd, STRING, BIGINT))
    error = failure_of(udfleet.ResultTypeError, fleet.call, "odd", ["good", "good", kind, "good"])
    assert (error.code, error.function, error.row, error.value) == ("RESULT_TYPE", view.reference, 2, value)
    assert said in str(error) and f"the function returned {value}" in str(error) and not error.retryable
    assert fleet.call("odd", ["good"]).to_pylist() == [1], "the function goes on working"


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ("TINYINT", 128),
        ("TINYINT", -129),
        ("SMALLINT", 2**15),
        ("INT", 2**31),
        ("BIGINT NOT NULL", None),
        ("VARCHAR(3)", "four"),
        ("DECIMAL(3, 1)", "12"),
        ("BOOLEAN", "yes"),
        ("ARRAY<INT NOT NULL>", [1, None]),
        ("DATE", "2024-01-01"),
        ("ROW<a INT, b STRING>", (1,)),
    ],
)
def test_each_type_is_strict(fleet, result, value):
    name = f"strict_{result.partition('<')[0].partition('(')[0].replace(' ', '_')}"
    view = fleet.register_function(name, udf(lambda a: value, BIGINT, result))
    error = failure_of(udfleet.ResultTypeError, fleet.call, name, [5])
    assert (error.function, error.row) == (view.reference, 0)
    assert repr(value) in str(error) or repr(None) in str(error)
    assert view.result_type.root.partition("_")[0] in str(error)


def test_a_stream_ends_with_the_row_of_its_batch_and_the_next_works(fleet):
    view = fleet.register_function("late", udf(lambda a: "late" if a == 1234 else a, BIGINT, BIGINT))
    answers = []
    with pytest.raises(udfleet.ResultTypeError) as caught:
        answers.extend(fleet.stream("late", batches(40, 100)))
    assert (caught.value.function, caught.value.row, caught.value.value) == (view.reference, 34, "'late'")
    assert [answer.column(0)[0].as_py() for answer in answers] == [i * 100 for i in range(len(answers))]
    assert len(answers) <= 12, "nothing after the failed batch"
    assert sum(answer.num_rows for answer in fleet.stream("late", batches(10, 100))) == 1000


def short(series):
    return series[:-1]


def arrow_sum(column):
    import pyarrow.compute as pc

    return pc.sum(column)


def pandas_value(series):
    return float(series.sum())


def wrong_dtype(series):
    return series.astype(str) + "x"


def unsized(series):
    return object()


@pytest.mark.parametrize(
    ("func", "func_type", "said"),
    [
        (short, "pandas", ["2 ", "3 "]),
        (short, "arrow", ["2 ", "3 "]),
        (pandas_value, "pandas", ["6.0", "Series"]),
        (arrow_sum, "arrow", ["Int64Scalar", "Array"]),
        (wrong_dtype, "pandas", ["1x"]),
        (unsized, "pandas", ["object", "Series"]),
        (unsized, "arrow", ["object", "Array"]),
    ],
)
def test_vectorised_results(fleet, func, func_type, said):
    name = f"vector_{func.__name__}_{func_type}"
    view = fleet.register_function(name, udf(func, BIGINT, BIGINT, func_type=func_type))
    error = failure_of(udfleet.ResultTypeError, fleet.call, name, [1, 2, 3])
    assert error.function == view.reference
    for part in said:
        assert part in str(error)


def test_vectorised_overflow_and_nulls_name_the_row(fleet):
    fleet.register_function("narrow", udf(lambda s: s, BIGINT, DataTypes.TINYINT(), func_type="pandas"))
    assert fleet.call("narrow", [1, -128]).to_pylist() == [1, -128]
    error = failure_of(udfleet.ResultTypeError, fleet.call, "narrow", [1, 2, 300])
    assert error.row == 2 and "300" in str(error) and "TINYINT" in str(error)
    fleet.register_function("gap", udf(lambda c: c, BIGINT, "BIGINT NOT NULL", func_type="arrow"))
    error = failure_of(udfleet.ResultTypeError, fleet.call, "gap", [1, None])
    assert error.row == 1 and "null is not allowed" in str(error)
    fleet.register_function("half", udf(lambda c: c.cast("double"), "DOUBLE", BIGINT, func_type="arrow"))
    error = failure_of(udfleet.ResultTypeError, fleet.call, "half", [1.0, 2.5])
    assert error.row == 1 and "2.5" in str(error)
