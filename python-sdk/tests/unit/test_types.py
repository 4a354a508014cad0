"""Types: PyFlink's factories, SQL text both ways, protobuf both ways, the Arrow table."""

from __future__ import annotations

import datetime
import pickle

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfleet import DataType, DataTypes
from udfleet.types.arrow import to_arrow
from udfleet.types.wire import from_proto, to_proto

T = DataTypes
FACTORIES = [
    T.NULL(),
    T.CHAR(3), T.VARCHAR(9), T.STRING(), T.BOOLEAN(), T.BINARY(4), T.VARBINARY(5), T.BYTES(),
    T.DECIMAL(10, 2), T.TINYINT(), T.SMALLINT(), T.INT(), T.BIGINT(), T.FLOAT(), T.DOUBLE(), T.DATE(), T.TIME(),
    T.TIMESTAMP(), T.TIMESTAMP(3), T.TIMESTAMP_LTZ(), T.INTERVAL(T.YEAR(), T.MONTH()), T.INTERVAL(T.DAY(), T.SECOND()),
]  # fmt: skip
names = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]),
                min_size=1, max_size=5)  # fmt: skip


def _nest(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
    keys = inner.filter(lambda data_type: data_type.root != "NULL")
    fields = st.lists(st.tuples(names, inner), max_size=3, unique_by=lambda field: field[0])
    return st.one_of(
        inner.map(T.ARRAY),
        keys.map(T.MULTISET),
        st.tuples(keys, inner).map(lambda pair: T.MAP(*pair)),
        fields.map(lambda listed: T.ROW([T.FIELD(*field) for field in listed])),
    ).flatmap(lambda made: st.sampled_from([made, made.not_null()]))


leaves = st.sampled_from([kind for plain in FACTORIES for kind in (plain, plain.not_null())])
types = st.recursive(leaves, _nest, max_leaves=6)


@given(types)
def test_every_type_survives_sql_text_protobuf_repr_and_pickle(data_type):
    assert DataTypes.parse(str(data_type)) == data_type
    assert from_proto(to_proto(data_type)) == data_type
    assert eval(repr(data_type), {"DataTypes": DataTypes}) == data_type
    assert pickle.loads(pickle.dumps(data_type)) == data_type
    assert hash(DataTypes.parse(str(data_type))) == hash(data_type)
    assert isinstance(to_arrow(data_type), pa.DataType)


def test_a_time_holds_milliseconds_unless_said_otherwise():
    assert (
        T.TIME() == DataTypes.parse("TIME") == T.TIME(3) and str(DataTypes.parse("TIME NOT NULL")) == "TIME(3) NOT NULL"
    )
    assert str(T.TIME(0)) == str(DataTypes.parse("TIME(0)")) == "TIME(0)"


def test_fields_are_a_list_of_its_own():
    row = T.ROW([T.FIELD("a", T.INT()), T.FIELD("b", T.STRING())])
    fields = row.fields.copy()
    fields[0], fields[1] = fields[1], fields[0]
    assert str(T.ROW(fields)) == "ROW<b STRING, a INT>" and str(row) == "ROW<a INT, b STRING>"
    assert T.INT().fields == []


@pytest.mark.parametrize(
    ("data_type", "value", "number"),
    [
        (T.DATE(), datetime.date(1970, 1, 2), 1),
        (T.DATE(), datetime.date(1969, 12, 31), -1),
        (T.TIME(), datetime.time(0, 0, 1, 5), 1_000_005),
        (T.TIMESTAMP(), datetime.datetime(1970, 1, 2, microsecond=3), 86_400_000_003),
        (T.TIMESTAMP(3), datetime.datetime.max, 253_402_300_799_999_999),
        (T.TIMESTAMP_LTZ(), datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc), 0),
        (T.INTERVAL(T.DAY(), T.SECOND()), datetime.timedelta(days=1, seconds=10), 86_410_000_000),
        (T.INT(), 5, 5),
        (T.DATE(), None, None),
    ],
)
def test_times_as_numbers(data_type, value, number):
    assert data_type.to_sql_type(value) == number and data_type.from_sql_type(number) == value


def test_zones_count_in_numbers_of_points_in_time():
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    assert T.TIMESTAMP_LTZ().to_sql_type(datetime.datetime(1970, 1, 1, 9, tzinfo=tokyo)) == 0
    assert T.TIME().to_sql_type(datetime.time(9, tzinfo=tokyo)) == 0
    assert T.TIMESTAMP().to_sql_type(datetime.datetime(1970, 1, 1, 9, tzinfo=tokyo)) == 9 * 3600 * 10**6


def test_defaults_are_pyflinks():
    assert str(T.TIMESTAMP()) == "TIMESTAMP(6)"
    assert str(T.TIMESTAMP_WITH_LOCAL_TIME_ZONE()) == "TIMESTAMP_LTZ(6)"
    assert str(T.STRING()) == "STRING" and T.STRING() == T.VARCHAR(2147483647)
    assert str(T.BIGINT(False)) == "BIGINT NOT NULL"
    assert T.BIGINT().not_null().nullable() == T.BIGINT() != T.BIGINT().not_null()
    assert str(T.ROW([T.INT(), T.FIELD("b c", T.STRING())])) == "ROW<f0 INT, `b c` STRING>"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("array<bigint not null>", T.ARRAY(T.BIGINT().not_null())),
        ("ROW<a INT, b STRING>", T.ROW([T.FIELD("a", T.INT()), T.FIELD("b", T.STRING())])),
        ("ROW(a INT 'the first')", T.ROW([T.FIELD("a", T.INT())])),
        ("INT ARRAY NOT NULL", T.ARRAY(T.INT()).not_null()),
        ("DECIMAL", T.DECIMAL(10, 0)),
        ("NUMERIC(5)", T.DECIMAL(5, 0)),
        ("VARCHAR", T.STRING()),
        ("VARBINARY", T.BYTES()),
        ("CHARACTER VARYING(3)", T.VARCHAR(3)),
        ("text", T.STRING()),
        ("int64", T.BIGINT()),
        ("int4", T.INT()),
        ("float8", T.DOUBLE()),
        ("bool", T.BOOLEAN()),
        ("timestamptz", T.TIMESTAMP_LTZ()),
        ("array<text>", T.ARRAY(T.STRING())),
        ("DOUBLE PRECISION", T.DOUBLE()),
        ("TIMESTAMP(3) WITH LOCAL TIME ZONE", T.TIMESTAMP_LTZ(3)),
        ("TIMESTAMP WITHOUT TIME ZONE", T.TIMESTAMP()),
        ("INTERVAL DAY(2) TO SECOND(3)", T.INTERVAL(T.DAY(), T.SECOND(3))),
        ("MAP<STRING, ARRAY<INT>>", T.MAP(T.STRING(), T.ARRAY(T.INT()))),
        ("row<`array` int>", T.ROW([T.FIELD("array", T.INT())])),
    ],
)
def test_sql_forms(sql, expected):
    assert DataTypes.parse(sql) == expected


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("", "expected a type at the end"),
        ("BIGNT", "expected a type at 'BIGNT'"),
        ("ARRAY<INT", "expected '>' at the end"),
        ("INT INT", "expected the end at 'INT'"),
        ("DECIMAL(39, 2)", "precision must be from 1 to 38"),
        ("DECIMAL(4, 5)", "scale must be from 0 to 4"),
        ("ROW<a INT, a INT>", "two fields named 'a'"),
        ("VARCHAR(0)", "length must be from 1"),
        ("CHAR(0)", "length must be from 1"),
        ("CHAR", "CHAR needs a length"),
        ("ROW<a BINARY>", "BINARY needs a length"),
        ("INT8", "write TINYINT or BIGINT"),
        ("uint64", "types are signed"),
        ("TIME(10)", "precision must be from 0 to 9"),
        ("INTERVAL YEAR TO DAY", "don't mix"),
        ("ARRAY<" * 100 + "INT" + ">" * 100, "deeper than 64"),
    ],
)
def test_bad_sql_says_where(sql, complaint):
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(")):
        DataTypes.parse(sql)


def test_wrong_parts_are_type_errors():
    for make in (lambda: T.ARRAY(3), lambda: T.ROW([object]), lambda: T.CHAR("3"), lambda: T.FIELD(1, T.INT())):
        with pytest.raises(TypeError):
            make()


def test_the_arrow_table():
    assert to_arrow(T.TIME(0)) == pa.time32("s") and to_arrow(T.TIME(9)) == pa.time64("ns")
    assert to_arrow(T.TIMESTAMP(3)) == pa.timestamp("ms")
    assert to_arrow(T.TIMESTAMP_LTZ()) == pa.timestamp("us", "UTC")
    assert to_arrow(T.BINARY(4)) == pa.binary(4)
    assert to_arrow(T.DECIMAL(38, 18)) == pa.decimal128(38, 18)
    assert to_arrow(T.ARRAY(T.INT().not_null())) == pa.list_(pa.field("item", pa.int32(), nullable=False))
    assert to_arrow(T.MULTISET(T.STRING())) == pa.map_(pa.string(), pa.field("value", pa.int32(), nullable=False))
    row = to_arrow(T.ROW([T.FIELD("a", T.INT().not_null())]))
    assert row == pa.struct([pa.field("a", pa.int32(), nullable=False)])
    assert to_arrow(T.INTERVAL(T.DAY())) == pa.duration("us")


def test_views_stay_out_of_signatures():
    with pytest.raises(ValueError, match="accumulator"):
        to_proto(T.LIST_VIEW(T.INT()))


def test_rows_are_read_as_pyflinks():
    row = DataTypes.ROW().add("a", DataTypes.INT()).add(DataTypes.FIELD("b", DataTypes.STRING()))
    assert row == DataTypes.parse("ROW<a INT, b STRING>")
    assert (row.names, row.field_names(), len(row)) == (["a", "b"], ["a", "b"], 2)
    assert row.field_types() == [DataTypes.INT(), DataTypes.STRING()] == [field.data_type for field in row]
    assert row[1].name == "b" and row["a"].data_type == DataTypes.INT() and row[:1] == DataTypes.parse("ROW<a INT>")
    assert bool(DataTypes.ROW()) and bool(DataTypes.INT())
    for wrong, error in [
        (lambda: row["c"], KeyError),
        (lambda: row[2], IndexError),
        (lambda: row.add("c"), ValueError),
    ]:
        with pytest.raises(error):
            wrong()
    for wrong in (lambda: DataTypes.INT()["a"], lambda: len(DataTypes.INT()), lambda: DataTypes.INT().names):
        with pytest.raises(TypeError, match="only ROW has"):
            wrong()
