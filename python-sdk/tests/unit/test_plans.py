"""Tables as plans: each method's operators, names of columns, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

from udfleet import DataTypes, InvalidPlanError, Row, udaf, udf, udtf
from udfleet._proto.udfleet.v1 import plan_pb2
from udfleet.table import call, col
from udfleet.table.column_lists import range_, with_all_columns, with_columns, without_columns
from udfleet.table.plan import aggregates, function_names
from udfleet.table.sources import from_elements
from udfleet.table.table import Table

BIGINT, STRING = DataTypes.BIGINT(), DataTypes.STRING()
PAIR = DataTypes.parse("ROW<p BIGINT, q STRING>")

add = udf(lambda i, j: i + j, [BIGINT, BIGINT], BIGINT, name="add")
pair = udf(lambda row: Row(1, "x"), result_type=PAIR, name="pair")
split = udtf(lambda s: s.split(), [STRING], STRING, name="split")
mean = udaf(lambda values: values.mean(), [BIGINT], "DOUBLE", name="mean", func_type="pandas")


KNOWN = {f.name: f for f in (add, pair, split, mean)}


class Functions:
    """Functions by name."""

    def refer(self, function):
        return function if isinstance(function, str) else function.name

    def kind(self, function):
        found = KNOWN.get(self.refer(function))
        return found.kind if found else ""

    def result_type(self, function):
        found = KNOWN.get(self.refer(function))
        return found.result_type if found else None

    def is_deterministic(self, function):
        found = KNOWN.get(self.refer(function))
        return found is None or found.deterministic


class NoFleet:
    _functions = Functions()


@pytest.fixture
def table():
    return Table(NoFleet(), from_elements([(1, 2, "x y")], ["a", "b", "s"]))


def told(table):
    """The plan's operators, and its text where that is all there is to an expression."""
    return [str(operator).split(" {")[0] for operator in table._plan().operators]


def items(operator):
    return [(item.expression.text, item.name) for item in operator.items]


def test_the_source_is_typed(table):
    assert [(field.name, field.type.root) for field in table._plan().source] == [("a", 11), ("b", 11), ("s", 3)]


def test_select_where_join(table):
    made = (
        table.alias("x, y, z")
        .where("add(x, y) <= 3")
        .select("x, add(y, 1) as n, add(add(x, y), 1)", col("z"))
        .join_lateral("split(z) as (w)")
        .left_outer_join_lateral(split(col("z")).alias("v"))
    )
    plan = made._plan()
    assert told(made) == ["project", "filter", "project", "correlate", "correlate"]
    assert items(plan.operators[0].project) == [("a", "x"), ("b", "y"), ("s", "z")]
    assert plan.operators[1].filter.predicate.text == "add(x, y) <= 3"
    assert items(plan.operators[2].project) == [
        ("x", "x"),
        ("add(y, 1)", "n"),
        ("add(add(x, y), 1)", ""),
        ("z", "z"),
    ]
    first, second = plan.operators[3].correlate, plan.operators[4].correlate
    assert (first.call.function, list(first.names), first.outer, first.replaces) == ("split", ["w"], False, False)
    assert (list(second.names), second.outer) == (["v"], True)
    assert made.columns == ["x", "n", "_c2", "z", "w", "v"]
    assert function_names(plan) == {"add", "split"} and not aggregates(plan)


def test_text_and_objects_make_the_same_plan(table):
    text = table.where("a = 1 AND NOT b IS NULL").select("add(a, 1) as x, s").join_lateral("split(s) as (w)")
    objects = (
        table.where((col("a") == 1) & ~col("b").is_null)
        .select(add(col("a"), 1).alias("x"), col("s"))
        .join_lateral(split(col("s")).alias("w"))
    )
    assert strip(text._plan()) == strip(objects._plan())


def strip(message):
    """Without the texts of expressions."""
    if isinstance(message, plan_pb2.Expression):
        message.ClearField("text")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "add") else [value]:
                strip(part)
    return message


def test_groups(table):
    grouped = table.group_by("a, b + 1 as k").select("a, k, mean(b) as m, mean(DISTINCT b)")
    aggregate = grouped._plan().operators[0].aggregate
    assert [(key.expression.text, key.name) for key in aggregate.keys] == [("a", "a"), ("b + 1", "k")]
    assert items(aggregate) == [("a", "a"), ("k", "k"), ("mean(b)", "m"), ("mean(DISTINCT b)", "")]
    assert aggregate.items[3].expression.call.distinct
    assert grouped.columns == ["a", "k", "m", "_c3"] and aggregates(grouped._plan())
    # Without groups the whole table is one.
    for whole in (table.select("mean(a) + mean(b) as m"), table.select(mean(col("a")) + call("mean", col("b")))):
        (operator,) = whole._plan().operators
        assert not operator.aggregate.keys and len(operator.aggregate.items) == 1


def test_whole_rows(table):
    mapped = table.map(pair)._plan().operators[0].project.items[0]
    assert mapped.flatten and mapped.expression.call.takes_row and not mapped.names
    assert table.map(pair).columns == ["p", "q"] and table.map(pair.alias("u", "v")).columns == ["u", "v"]
    assert strip(table.map("pair")._plan()) == strip(table.map(pair)._plan())
    assert not table.map(add(col("a"), 1))._plan().operators[0].project.items[0].flatten
    flat = table.flat_map(split(col("s")))._plan().operators[0].correlate
    assert flat.replaces and not flat.call.takes_row
    assert table.flat_map(split).columns == ["f0"] and table.flat_map(split.alias("w")).columns == ["w"]
    assert table.flat_map(split)._plan().operators[0].correlate.call.takes_row
    whole = table.group_by("a").aggregate(mean(col("b")).alias("m"))
    assert whole.columns == ["a", "m"] and items(whole._plan().operators[0].aggregate)[1] == ("mean(b)", "m")
    emitted = table.group_by("a").flat_aggregate(call("top2", col("b")).alias("t"))
    assert emitted._plan().operators[0].aggregate.table.function == "top2" and emitted.columns == ["a", "t"]


def test_names_of_keys_are_not_taken_again(table):
    both = udaf(lambda v: (1, "x"), [BIGINT], PAIR, name="both", func_type="pandas")
    KNOWN["both"] = both
    assert table.group_by("a as p").aggregate(both(col("b"))).columns == ["p", "p_0", "q"]
    assert table.group_by("a as p, b as p_0").aggregate(both(col("b"))).columns == ["p", "p_0", "p_1", "q"]
    assert table.group_by("a as p").aggregate(both(col("b")).alias("q", "r")).columns == ["p", "q", "r"]
    assert table.group_by("a").aggregate(both(col("b"))).columns == ["a", "p", "q"]


def test_columns_are_attributes(table):
    assert table.select(table.a, table.s.alias("t")).columns == ["a", "t"]
    assert not hasattr(table, "z") and not hasattr(table, "_z") and callable(table.alias)
    with pytest.raises(AttributeError, match="neither a method nor a column 'z'"):
        _ = table.z


def test_columns_with_types_are_shown(table, capsys):
    schema = table.get_schema()
    assert schema.get_field_names() == ["a", "b", "s"] and schema.get_field_count() == 3
    assert schema.get_field_data_types() == [BIGINT, BIGINT, STRING] and schema.get_field_name(3) is None
    assert schema.get_field_data_type("s") == schema.get_field_data_type(2) == STRING
    assert schema.get_field_data_type("z") is None and schema.to_row_data_type().names == ["a", "b", "s"]
    assert not schema.to_row_data_type().is_nullable
    assert schema == table.get_schema() and hash(schema) == hash(table.get_schema())
    table.print_schema()
    assert capsys.readouterr().out == "(\n  `a` BIGINT,\n  `b` BIGINT,\n  `s` STRING\n)\n"


def test_lateral_joins_with_a_predicate(table):
    joined = table.join_lateral(split(col("s")).alias("w"), col("w") == "x")
    assert told(joined) == ["correlate", "filter"]
    assert told(table.left_outer_join_lateral("split(s) as w", "TRUE")) == ["correlate"]
    with pytest.raises(InvalidPlanError, match="no predicate but TRUE"):
        table.left_outer_join_lateral("split(s) as w", "w = s")


def test_columns_are_added_renamed_dropped(table):
    assert table.add_columns("add(a, b) as c").columns == ["a", "b", "s", "c"]
    replaced = table.add_or_replace_columns((col("a") + 1).alias("a"), col("b").alias("d"))
    assert items(replaced._plan().operators[0].project) == [("a + 1", "a"), ("b", "b"), ("s", "s"), ("b", "d")]
    assert table.rename_columns("a as x").columns == ["x", "b", "s"]
    assert table.drop_columns("a, s").columns == ["b"]
    assert table.select("*, a + 1 as c").columns == ["a", "b", "s", "c"]
    assert table.alias("x").columns == ["x", "b", "s"] and table.alias("x", "y").columns == ["x", "y", "s"]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda t: t.alias("a, b, c, d"), "4 columns, there are 3"),
        (lambda t: t.add_columns("a + 1"), "needs a name"),
        (lambda t: t.add_columns("b as a"), "a column 'a' already"),
        (lambda t: t.rename_columns("z as x"), "no column 'z'"),
        (lambda t: t.drop_columns("z"), "no column 'z'"),
    ],
)
def test_refusals(table, make, complaint):
    with pytest.raises(InvalidPlanError, match=complaint):
        make(table)._plan()


def nested(levels):
    """Operators and calls around a column: as many expressions, one in another."""
    made = col("a")
    for level in range(1, levels):
        made = add(made, 1) if level % 2 else -made
    return made


def test_nesting_is_bounded(table):
    for made in (table.select(nested(40)), table.join_lateral(split(nested(40)))):
        plan = made._plan()
        assert plan_pb2.Plan.FromString(plan.SerializeToString()) == plan
    for levels in (41, 60, 2000):
        for make in (table.select, table.where, lambda deep: table.join_lateral(split(deep))):
            with pytest.raises(InvalidPlanError, match="deeper than 40 levels") as caught:
                make(nested(levels))._plan()
            assert caught.value.hint
    for length in (60, 2000):
        with pytest.raises(InvalidPlanError, match="deeper than 40 levels"):
            table.select("a" + " + 1" * length)._plan()


def test_wrong_arguments(table):
    for make in (
        lambda: table.join_lateral(3),
        lambda: table.flat_map("a + 1"),
        lambda: table.rename_columns("a"),
        lambda: table.drop_columns("a + 1"),
        lambda: table.where("a as b") and table.where(col("a") == 1 and col("b") == 2),
    ):
        with pytest.raises(TypeError):
            make()


def test_lists_of_columns(table):
    def chosen(*items):
        return table.select(*items).columns

    assert chosen(with_all_columns()) == ["a", "b", "s"]
    assert chosen(with_columns(range_("a", "b"), "s")) == chosen(with_columns(range_(1, 2), 3)) == ["a", "b", "s"]
    assert chosen(with_columns(col("s"), 1)) == ["s", "a"]
    assert chosen(without_columns("b"), "b + 1 as c") == ["a", "s", "c"]
    assert chosen(without_columns(range_(1, 2))) == ["s"]
    assert table.group_by(with_columns("a", "b")).select(with_columns("a"), "count(s) as n").columns == ["a", "n"]
    for wrong in (with_columns("x"), with_columns(0), without_columns(range_("b", "a")), with_columns(4)):
        with pytest.raises(InvalidPlanError):
            chosen(wrong)
    for wrong in (None, True, ("a",), ("a", None)):
        with pytest.raises(TypeError):
            with_columns(wrong)
