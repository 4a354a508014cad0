"""Tables of Python values, Arrow, pandas and batches: types found, values checked, batches given once or often."""

from __future__ import annotations

import array
import collections
import datetime
import types as types_module
from decimal import Decimal

import pyarrow as pa
import pytest

from udfleet import DataTypes, InvalidInputError, Row
from udfleet.table.sources import from_batches, from_elements, from_pandas, from_table

UTC = datetime.timezone.utc
NOON = datetime.datetime(2020, 1, 2, 12)


def types(source):
    return [(field.name, str(field.data_type)) for field in source.fields]


def rows(source):
    return [row for batch in source.batches() for row in batch.to_pylist()]


def test_types_are_found():
    values = {
        "BIGINT": 1,
        "DOUBLE": 1.5,
        "BOOLEAN": True,
        "STRING": "x",
        "BYTES": b"x",
        "DECIMAL(38, 18)": Decimal("1.5"),
        "DATE": datetime.date(2020, 1, 2),
        "TIME(6)": datetime.time(1, 2, 3, 4),
        "TIMESTAMP(6)": NOON,
        "TIMESTAMP_LTZ(6)": NOON.replace(tzinfo=UTC),
        "INTERVAL DAY TO SECOND": datetime.timedelta(days=1),
        "ARRAY<BIGINT>": [1, None],
        "MAP<STRING, DOUBLE>": {"a": 1.0},
        "ROW<f0 BIGINT, f1 STRING>": (1, "x"),
        "ROW<k BIGINT>": Row(k=1),
        "NULL": None,
    }
    source = from_elements([tuple(values.values()), tuple(None for _ in values)], [f"c{i}" for i in range(len(values))])
    assert [data_type for _, data_type in types(source)] == list(values)
    assert rows(source)[0]["c10"] == datetime.timedelta(days=1) and set(rows(source)[1].values()) == {None}


def test_names():
    assert types(from_elements([(1, "x")])) == [("_1", "BIGINT"), ("_2", "STRING")]
    assert types(from_elements([Row(a=1, b="x")])) == [("a", "BIGINT"), ("b", "STRING")]
    assert types(from_elements([{"a": 1}, {"a": 2}])) == [("a", "BIGINT")]
    assert types(from_elements([1, 2])) == [("_1", "BIGINT")]
    assert types(from_elements([(1, 2)], "a, b")) == [("a", "BIGINT"), ("b", "BIGINT")]
    assert types(from_elements([], "ROW<a INT NOT NULL>")) == [("a", "INT NOT NULL")]
    assert types(from_elements([(1,)], [DataTypes.INT()])) == [("f0", "INT")]
    assert types(from_elements([(1,)], DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT())]))) == [("a", "INT")]
    assert types(from_elements([(1,)], pa.schema([pa.field("a", pa.int8(), False)]))) == [("a", "TINYINT NOT NULL")]


def test_rows_name_their_columns():
    Point = collections.namedtuple("Point", "x y")
    thing = types_module.SimpleNamespace(b="q", a=1)
    assert types(from_elements([Point(1, "a")])) == [("x", "BIGINT"), ("y", "STRING")]
    assert rows(from_elements([thing])) == [{"b": "q", "a": 1}]
    nested = from_elements([(thing, Point(1, "a"), [thing])])
    assert [found for _, found in types(nested)] == [
        "ROW<b STRING, a BIGINT>",
        "ROW<x BIGINT, y STRING>",
        "ARRAY<ROW<b STRING, a BIGINT>>",
    ]
    assert rows(nested) == [{"_1": {"b": "q", "a": 1}, "_2": {"x": 1, "y": "a"}, "_3": [{"b": "q", "a": 1}]}]
    assert rows(from_elements([{"a": 1}, {"b": 2}])) == [{"a": 1, "b": None}, {"a": None, "b": 2}]
    assert rows(from_elements([{"a": 1, "b": 2}], ["b"])) == [{"b": 2, "a": 1}]
    assert types(from_elements([(1, "x", 2.5)], ["a"])) == [("a", "BIGINT"), ("_2", "STRING"), ("_3", "DOUBLE")]
    assert rows(from_elements([Point(1, "a")], ["p", "q"])) == [{"p": 1, "q": "a"}]


def test_typed_arrays_keep_their_width():
    codes = {"b": "TINYINT", "B": "SMALLINT", "h": "SMALLINT", "H": "INT", "i": "INT", "I": "BIGINT", "q": "BIGINT"}
    codes |= {"f": "FLOAT", "d": "DOUBLE"}
    source = from_elements([tuple(array.array(code, [1, 2]) for code in codes)])
    assert [found for _, found in types(source)] == [f"ARRAY<{name} NOT NULL>" for name in codes.values()]
    assert all(value == [1, 2] for value in rows(source)[0].values())
    with pytest.raises(InvalidInputError, match="no type holds array"):
        from_elements([(array.array("Q", [1]),)])


def test_special_carriers():
    source = from_elements(
        [([1], {"x": 2}, 14, NOON.replace(tzinfo=UTC), bytearray(b"x"))],
        "ROW<a ARRAY<INT>, m MULTISET<STRING>, i INTERVAL YEAR TO MONTH, t TIMESTAMP_LTZ(0), b BYTES>",
    )
    (row,) = rows(source)
    assert (row["a"], row["m"], row["i"].months, row["b"]) == ([1], [("x", 2)], 14, b"x")


@pytest.mark.parametrize(
    ("data_type", "value", "complaint"),
    [
        ("TINYINT", 128, "out of range"),
        ("BIGINT", 1.5, "not an int"),
        ("BIGINT", 1 << 63, "out of range"),
        ("DOUBLE", "1", "not a float"),
        ("FLOAT", 1e39, "out of range"),
        ("BOOLEAN", 1, "not a bool"),
        ("INT NOT NULL", None, "None for INT NOT NULL"),
        ("CHAR(2)", "x", "1 characters"),
        ("VARCHAR(2)", "xyz", "3 characters"),
        ("STRING", b"x", "not a str"),
        ("STRING", "\ud800", "surrogates"),
        ("BINARY(2)", b"x", "1 bytes"),
        ("DECIMAL(3, 1)", Decimal("100.0"), "too many digits"),
        ("DECIMAL(3, 1)", Decimal("NaN"), "not a number"),
        ("DATE", NOON, "not a date"),
        ("TIME(3)", datetime.time(1, 2, 3, 4), "finer than 3 digits"),
        ("TIMESTAMP(3)", NOON.replace(microsecond=1), "finer than 3 digits"),
        ("TIMESTAMP(3)", NOON.replace(tzinfo=UTC), "with a time zone"),
        ("TIMESTAMP_LTZ(3)", NOON, "without a time zone"),
        ("ARRAY<INT NOT NULL>", [1, None], "[1]: None"),
        ("ARRAY<INT>", {1}, "not a list"),
        ("MAP<STRING, INT>", {None: 1}, "a null key"),
        ("MAP<STRING, TINYINT>", {"k": 300}, "['k']: out of range"),
        ("MULTISET<INT>", {1: 0}, "count"),
        ("ROW<x INT>", (1, 2), "2 values"),
        ("ROW<x INT>", Row(y=1), "fields y"),
        ("ROW<x ROW<y TINYINT>>", ((300,),), "x: y: out of range"),
    ],
)
def test_values_are_checked(data_type, value, complaint):
    with pytest.raises(InvalidInputError) as caught:
        from_elements([(value,)], f"ROW<c {data_type}>")
    error = caught.value
    assert error.row == 0 and error.value == repr(value)
    assert error.message.startswith("column 'c': ") and complaint in error.message


def test_edges_fit():
    fits = [
        ("TINYINT", -128), ("BIGINT", -(1 << 63)), ("FLOAT", float("inf")), ("CHAR(2)", "xy"), ("DECIMAL(3, 1)", Decimal("99.90")),
        ("DECIMAL(3, 1)", Decimal("1E+1")), ("DECIMAL(2, 2)", Decimal("0.99")), ("DECIMAL(3, 0)", Decimal("0E-5")),
        ("DATE", datetime.date.min), ("TIMESTAMP(6)", datetime.datetime.max), ("TIMESTAMP(0)", NOON),
    ]  # fmt: skip
    for data_type, value in fits:
        (row,) = rows(from_elements([(value,)], f"ROW<c {data_type}>"))
        assert row["c"] == value, data_type


def test_shape_mistakes():
    for match, make in [
        ("row 1 has 1 values, the schema has 2", lambda: from_elements([(1, 2), (1,)])),
        ("names a column 'z', the rows have a", lambda: from_elements([{"a": 1}], ["z"])),
        ("without rows needs a schema", lambda: from_elements([])),
        ("types BIGINT and STRING", lambda: from_elements([(1,), ("x",)])),
        ("no type holds", lambda: from_elements([(object(),)])),
        ("two columns are named 'a'", lambda: from_elements([(1, 2)], ["a", "a"])),
        ("no type holds Arrow's", lambda: from_table(pa.table({"a": pa.array([1], pa.decimal256(50, 0))}))),
        ("needs a schema", lambda: from_batches(iter([]))),
    ]:
        with pytest.raises(InvalidInputError, match=match):
            make()


def test_arrow_is_carried_by_its_type():
    table = pa.table(
        {
            "s": pa.array(["x"], pa.large_string()),
            "d": pa.array(["x"]).dictionary_encode(),
            "u": pa.array([2**32 - 1], pa.uint32()),
            "t": pa.array([NOON], pa.timestamp("us", "Europe/Berlin")),
            "l": pa.array([[1]], pa.large_list(pa.int8())),
            "r": pa.array([{"x": 1}]),
        }
    )
    source = from_table(table)
    assert [data_type for _, data_type in types(source)] == [
        "STRING", "STRING", "BIGINT", "TIMESTAMP_LTZ(6)", "ARRAY<TINYINT>", "ROW<x BIGINT>",
    ]  # fmt: skip
    (batch,) = source.batches()
    assert batch.schema.field("t").type == pa.timestamp("us", "UTC") and batch.schema.field("s").type == pa.string()
    assert batch.column(2).to_pylist() == [2**32 - 1]


def test_batches_are_bounded_in_rows_and_bytes():
    assert [b.num_rows for b in from_elements(range(100_000)).batches()] == [65_536, 34_464]
    wide = from_table(pa.table({"s": ["x" * 100_000] * 1000}))
    sizes = [batch.nbytes for batch in wide.batches()]
    assert len(sizes) > 10 and max(sizes) <= 8 << 20 and sum(sizes) >= 100_000_000
    (one,) = from_elements(["x" * (9 << 20)]).batches()
    assert one.num_rows == 1


def test_pandas_with_nulls():
    pandas = pytest.importorskip("pandas")
    source = from_pandas(pandas.DataFrame({"a": [1.5, None], "b": ["x", None]}))
    assert rows(source)[1] == {"a": None, "b": None} and types(source)[0] == ("a", "DOUBLE")
    assert types(from_pandas(pandas.DataFrame({"a": [1]}), ["z"])) == [("z", "BIGINT")]


def test_batches_once_or_often():
    batch = pa.record_batch({"a": [1, 2]})
    once = from_batches(iter([batch]), batch.schema)
    assert len(list(once.batches())) == 1 and not once.replayable
    with pytest.raises(InvalidInputError, match="used up"):
        list(once.batches())
    for again in (from_batches([batch]), from_batches(lambda: iter([batch]), batch.schema)):
        assert again.replayable and rows(again) == rows(again) == [{"a": 1}, {"a": 2}]
    assert types(from_batches(pa.table({"a": [1]}).to_reader())) == [("a", "BIGINT")]
    (empty,) = from_batches([], batch.schema).batches()
    assert empty.num_rows == 0 and empty.schema.names == ["a"]
    narrow = from_batches([pa.record_batch({"a": [1]})], "ROW<a TINYINT NOT NULL>")
    assert next(narrow.batches()).schema.field("a").type == pa.int8()
    with pytest.raises(InvalidInputError) as caught:
        list(from_batches([pa.record_batch({"a": [1, 300]})], "ROW<a TINYINT>").batches())
    assert (caught.value.row, caught.value.value) == (1, "300")
    with pytest.raises(InvalidInputError, match="None for BIGINT NOT NULL") as caught:
        list(from_batches([pa.record_batch({"a": [1, None]})], "ROW<a BIGINT NOT NULL>").batches())
    assert caught.value.row == 1


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("DECIMAL(3, 1)", Decimal("1.25"), Decimal("1.3")),
        ("DECIMAL(3, 1)", Decimal("-1.25"), Decimal("-1.3")),
        ("DECIMAL(3, 1)", Decimal("1.5"), Decimal("1.5")),
        ("DECIMAL(38, 18)", Decimal("1000000000000000000.0599999999999999991"), Decimal("1000000000000000000.059999999999999999")),
        ("ARRAY<DECIMAL(3, 1)>", [Decimal("1.24"), None], [Decimal("1.2"), None]),
        ("MAP<STRING, DECIMAL(3, 1)>", {"a": Decimal("1.24")}, [("a", Decimal("1.2"))]),
        ("ROW<x DECIMAL(3, 0), y STRING>", Row(y="a", x=Decimal("0.5")), {"x": Decimal("1"), "y": "a"}),
        ("DECIMAL(3, 1)", None, None),
    ],
)  # fmt: skip
def test_decimals_are_rounded_to_declared_places(data_type, value, expected):
    assert rows(from_elements([(value,)], f"ROW<v {data_type}>")) == [{"v": expected}]


def test_decimals_of_no_declared_type_are_not_rounded():
    with pytest.raises(InvalidInputError) as error:
        from_elements([(Decimal("1E-19"),)])
    assert error.value.row == 0


def test_a_decimal_that_rounds_up_to_one_digit_too_many_is_refused():
    with pytest.raises(InvalidInputError) as error:
        from_elements([(Decimal("1.25"),), (Decimal("99.96"),)], "ROW<v DECIMAL(3, 1)>")
    assert error.value.row == 1
