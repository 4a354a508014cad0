"""One conversion on every way into a fleet: the policy of docs/types.md, for values, pandas, numpy and Arrow."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from policy_cases import BY_TYPE, REFUSED, UTC

from udfleet import DataTypes, InvalidInputError, Row
from udfleet._client.columns import to_batch
from udfleet._convert.columns import to_column
from udfleet._convert.misfit import MisfitError
from udfleet.table.sources import from_batches, from_elements, from_pandas
from udfleet.types.arrow import to_arrow_field

HOLDERS = {"list": ("g", list), "pandas": ("p", pd.Series), "arrow": ("a", pa.array)}
DAY = dt.date(2020, 1, 2)
NOON = dt.datetime(2020, 1, 2, 12)


def same(got, expected):
    if isinstance(got, float) and isinstance(expected, float) and math.isnan(expected):
        return math.isnan(got)
    if isinstance(got, pa.MonthDayNano):
        return tuple(got) == expected
    return got == expected and type(got) is type(expected)


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("name", BY_TYPE)
def test_arguments_follow_the_policy_of_results(name, holder):
    """Columns of arguments take what functions may return in such a column."""
    letter, hold = HOLDERS[holder]
    declared, wrong = DataTypes.parse(name), []
    for case in BY_TYPE[name]:
        if letter not in case.kinds:
            continue
        try:
            column = hold([case.value])
        except (pa.ArrowException, OverflowError):
            continue
        try:
            (got,) = to_column(column, declared).to_pylist()
        except MisfitError as misfit:
            if case.expected is not REFUSED:
                wrong.append((case.value, "was refused", str(misfit)))
            continue
        if case.expected is REFUSED or not same(got, case.expected):
            wrong.append((case.value, "became", got))
    assert not wrong, "\n".join(map(str, wrong))


def call(declared, *columns):
    """The columns that a function of these types is given by `fleet.call`."""
    types = declared if isinstance(declared, list) else [declared]
    fields = [to_arrow_field(f"a{i}", DataTypes.parse(each)) for i, each in enumerate(types)]
    return [column.to_pylist() for column in to_batch("f", columns, fields, None).columns]


def refusal(declared, column):
    with pytest.raises(InvalidInputError) as caught:
        call(declared, column)
    assert caught.value.function == "f"
    return caught.value


ROW = "ROW<price DOUBLE, qty INT>"


@pytest.mark.parametrize(
    ("declared", "column", "row"),
    [
        (ROW, [(1.5, 2), {"price": 1.5, "quantity": 2}], 1),
        (ROW, [{"price": 1.5}], 0),
        (ROW, pa.array([{"price": 1.5, "quantity": 2}]), None),
        (ROW, [Row(1.5)], 0),
        ("TIMESTAMP(0)", [NOON, NOON, NOON.replace(microsecond=1)], 2),
        ("TIMESTAMP(0)", pa.array([NOON, NOON.replace(microsecond=1)]), 1),
        ("TIMESTAMP(3)", pd.Series([NOON, NOON], dtype="datetime64[ns]") + pd.Timedelta(1, "ns"), 0),
        ("TIMESTAMP(3)", pd.Series([NOON]).dt.tz_localize("UTC"), None),
        ("TIMESTAMP(3)", [NOON, NOON.replace(tzinfo=UTC)], 1),
        ("TIMESTAMP_LTZ(3)", [NOON], 0),
        ("DATE", [DAY, NOON], 1),
        ("DATE", pd.Series([pd.Timestamp(DAY), pd.Timestamp(NOON)]), 1),
        ("BIGINT", [*range(1000), 1.5, 2.5], 1000),
        ("BIGINT", pd.Series([1.0, 1.5]), 1),
        ("BIGINT", np.array([1.0, math.nan]), 1),
        ("BIGINT", ["1"], 0),
        ("BIGINT", pa.array(["1"]), None),
        ("TINYINT", np.arange(256), 128),
        ("STRING", [1], 0),
        ("STRING", pa.array([1]), None),
        ("STRING", ["a", "\ud800"], 1),
        ("BOOLEAN", [True, 1], 1),
        ("FLOAT", [1.0, 1e300], 1),
        ("FLOAT", pa.array([1.0, math.inf, 1e300]), 2),
        ("FLOAT", np.array([1e300]), 0),
        ("DECIMAL(5, 2)", [Decimal("1.25"), Decimal("1.255")], 1),
        ("DECIMAL(5, 2)", [1.25], 0),
        ("INTERVAL DAY TO SECOND", np.array([1], "timedelta64[ns]"), 0),
        ("INTERVAL DAY TO SECOND", pa.array([1000, 1], pa.duration("ns")), 1),
        ("ARRAY<TIMESTAMP(0)>", [[NOON], [NOON, NOON.replace(microsecond=1)]], 1),
        ("ARRAY<FLOAT>", pa.array([[1.0], [1e300]]), 1),
        ("ARRAY<INT NOT NULL>", pa.array([[1], [None]], pa.list_(pa.int32())), 1),
        ("BIGINT NOT NULL", [1, None], 1),
        ("BIGINT NOT NULL", pa.array([1, None]), 1),
        ("MAP<STRING, INT>", [{"a": 1}, {None: 1}], 1),
        ("BIGINT", "12", 0),
        ("BIGINT", {"a": 1}, 0),
        ("BIGINT", [object()], 0),
        ("BIGINT", pd.DataFrame({"x": [1]}), None),
        ("BIGINT", pa.table({"x": [1]}), None),
        ("BIGINT", np.array([[1, 2]]), 0),
        ("BIGINT", object(), 0),
    ],
)  # fmt: skip
def test_what_would_change_is_refused_with_its_row(declared, column, row):
    error = refusal(declared, column)
    assert error.row == row and error.message.startswith("column 0 does not convert to ")


@pytest.mark.parametrize(
    ("declared", "column", "expected"),
    [
        (ROW, [(1.5, 2), Row(1.0, 3), Row(qty=2, price=1.5), {"qty": 4, "price": 0.5}, None], [
            {"price": 1.5, "qty": 2}, {"price": 1.0, "qty": 3}, {"price": 1.5, "qty": 2}, {"price": 0.5, "qty": 4}, None,
        ]),
        (ROW, Row(1.5, 2), [{"price": 1.5, "qty": 2}]),
        (ROW, pd.DataFrame({"qty": [2], "price": [1.5]}), [{"price": 1.5, "qty": 2}]),
        (ROW, pa.array([{"qty": 2, "price": 1}]), [{"price": 1.0, "qty": 2}]),
        ("BIGINT", [1.0, True, None, np.int8(3)], [1, 1, None, 3]),
        ("BIGINT", pd.Series([1.0, math.nan]), [1, None]),
        ("BIGINT", pd.Series([1, None], dtype="Int64"), [1, None]),
        ("BIGINT", pd.Series([1, pd.NA, math.nan], dtype=object), [1, None, None]),
        ("BIGINT", pd.Series([1, 1], dtype="category"), [1, 1]),
        ("BIGINT", pa.array([1, 2], pa.uint64()), [1, 2]),
        ("BIGINT", pa.chunked_array([[1], [2]]), [1, 2]),
        ("BIGINT", (i for i in range(3)), [0, 1, 2]),
        ("BIGINT", pa.scalar(4, pa.int8()), [4]),
        ("BIGINT", np.array(4), [4]),
        ("DOUBLE", [1, 2.5], [1.0, 2.5]),
        ("DOUBLE", [2**60], [2.0**60]),
        ("DOUBLE", pa.array([2**60]), [2.0**60]),
        ("DOUBLE", pa.array([True]), [1.0]),
        ("DECIMAL(5, 2)", pa.array([7]), [Decimal("7.00")]),
        ("STRING", pd.Series(["a", None]), ["a", None]),
        ("STRING", np.array(["a", "bc"]), ["a", "bc"]),
        ("STRING", pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        ("BYTES", memoryview(b"ab"), [b"ab"]),
        ("DATE", pd.Series([pd.Timestamp(DAY), pd.NaT]), [DAY, None]),
        ("DATE", np.array(["2020-01-02"], "datetime64[D]"), [DAY]),
        ("TIMESTAMP(0)", [NOON, None], [NOON, None]),
        ("TIMESTAMP(6)", np.array(["2020-01-02T12"], "datetime64[h]"), [NOON]),
        ("TIMESTAMP_LTZ(3)", pd.Series([NOON]).dt.tz_localize("Asia/Tokyo"), [dt.datetime(2020, 1, 2, 3, tzinfo=UTC)]),
        ("ARRAY<BIGINT>", [[1], None, [], [2, None]], [[1], None, [], [2, None]]),
        ("ARRAY<DOUBLE>", np.array([[1.5, 2], [3, 4]]), [[1.5, 2.0], [3.0, 4.0]]),
        ("ARRAY<DOUBLE>", pa.array([[1.5], None], pa.large_list(pa.float32())), [[1.5], None]),
        ("MAP<STRING, INT>", {"a": 1}, [[("a", 1)]]),
        ("MULTISET<STRING>", [{"a": 2}], [[("a", 2)]]),
        ("BIGINT", pa.nulls(2), [None, None]),
        ("BIGINT", [], []),
    ],
)  # fmt: skip
def test_what_fits_converts(declared, column, expected):
    assert call(declared, column) == [expected]


def test_a_value_whose_repr_raises():
    class Odd:
        def __repr__(self):
            raise ValueError

    assert "whose repr raises ValueError" in refusal("BIGINT", [Odd()]).message


@pytest.mark.parametrize("columns", [[1, "a"], [{"a": 1}, {"b": 2}], [object()], pd.DataFrame({"a": [1]})])
def test_untyped_columns_that_no_type_holds(columns):
    with pytest.raises(InvalidInputError) as caught:
        to_batch("f", [columns], None, None)
    assert caught.value.function == "f"


def test_untyped_columns():
    batch = to_batch("f", [[1, None], pd.Series([1.5, math.nan]), Row(a=1), "x"], None, None)
    assert [column.to_pylist() for column in batch.columns] == [[1, None], [1.5, None], [{"a": 1}] * 2, ["x", "x"]]


@pytest.mark.parametrize(
    ("declared", "column"),
    [
        ("FLOAT", [1.0, 1e300]),
        ("BOOLEAN", [1, 2]),
        ("STRING", [1, 2]),
        ("DATE", [NOON, NOON]),
        ("TIMESTAMP(6)", pd.Series([NOON, NOON]).dt.tz_localize("UTC")),
        ("VARCHAR(2)", ["a", "abc"]),
        ("TIMESTAMP(1)", pd.Series([NOON, NOON + dt.timedelta(milliseconds=1)])),
    ],
)
def test_tables_with_a_schema_are_strict(declared, column):
    schema = f"ROW<c {declared}>"
    frame = pd.DataFrame({"c": column})
    with pytest.raises(InvalidInputError):
        from_pandas(frame, schema)
    with pytest.raises(InvalidInputError):
        list(from_batches([pa.RecordBatch.from_pandas(frame, preserve_index=False)], schema).batches())
    with pytest.raises(InvalidInputError):
        from_elements([(value,) for value in frame["c"].tolist()], schema)


def test_frames_that_are_no_tables():
    for frame, said in [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are named 'a'"),
        (pd.DataFrame({"a": [1, "x"]}), "column 'a'"),
        (None, "takes a DataFrame"),
        ([1], "takes a DataFrame"),
    ]:
        with pytest.raises(InvalidInputError, match=re.escape(said)) as caught:
            from_pandas(frame)
        assert caught.value.hint
