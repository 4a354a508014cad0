"""Row, as PyFlink has it."""

import pickle

import pytest

from udfleet import MapView, Row, RowKind


def test_positional_named_and_template_rows():
    named = Row(name="Ann", age=7)
    assert Row("name", "age")("Ann", 7) == named
    assert (named.name, named["age"], named[0], len(named), list(named)) == ("Ann", 7, "Ann", 2, ["Ann", 7])
    assert named != Row("Ann", 7)
    assert "name" in named and "Ann" in Row("Ann", 7)
    assert repr(named) == "Row(name='Ann', age=7)" and repr(Row(1, "a")) == "Row(1, 'a')"
    assert named == Row(age=7, name="Ann") and hash(named) == hash(Row(age=7, name="Ann"))
    assert named != Row(name=7, age="Ann") and named != Row(name="Ann") and Row(1, 2) != Row(2, 1)
    assert named.get_fields_by_names(["age"]) == [7] and Row(1, 2).get_fields_by_names(["a"]) == [1, 2]
    assert Row("a", "b")(1) == Row(a=1)
    with pytest.raises(ValueError, match="2 fields, 3 values"):
        Row("a", "b")(1, 2, 3)
    for wrong in (named, Row("Ann")):
        with pytest.raises(ValueError, match="no field 'x'"):
            _ = wrong["x"]


def test_as_dict_and_kinds():
    row = Row(a=Row(b=1), c=[Row(d=2)])
    assert row.as_dict(recursive=True) == {"a": {"b": 1}, "c": [{"d": 2}]}
    with pytest.raises(TypeError):
        Row(1).as_dict()
    other = Row(a=Row(b=1), c=[Row(d=2)])
    other.set_row_kind(RowKind.DELETE)
    assert other != row and other.get_row_kind() is RowKind.DELETE
    assert other == Row.of_kind(RowKind.DELETE, c=[Row(d=2)], a=Row(b=1))
    template = Row.of_kind(RowKind.UPDATE_AFTER, "a", "b")
    assert template(1, 2).get_row_kind() is RowKind.UPDATE_AFTER


def test_rows_travel_and_refuse_a_mix():
    row = Row(a=1)
    row.set_row_kind(RowKind.UPDATE_AFTER)
    assert pickle.loads(pickle.dumps(row)) == row
    with pytest.raises(ValueError, match="positional or keyword"):
        Row(1, a=2)
    with pytest.raises(AttributeError):
        _ = row.b


@pytest.mark.parametrize(
    "name",
    [
        "self",
        "args",
        "kwargs",
        "fields",
        "kind",
        "count",
        "index",
        "as_dict",
        "_names",
        "_values",
        "_kind",
        "a b",
        "class",
    ],
)
def test_fields_may_have_any_name(name):
    row = Row(**{name: 1, "other": 2})
    assert (row[name], row["other"], list(row), row.as_dict()) == (1, 2, [1, 2], {name: 1, "other": 2})
    assert Row(name, "other")(1, 2) == row == pickle.loads(pickle.dumps(row))
    assert row.get_fields_by_names([name]) == [1] and name in repr(row)
    assert MapView(**{name: 1}).get(name) == 1
    if not hasattr(Row, name):
        assert getattr(row, name) == 1
