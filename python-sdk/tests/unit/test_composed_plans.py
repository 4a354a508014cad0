"""Plans with built-in functions that are made of others or are Python functions: arguments, types, and what is refused."""

from __future__ import annotations

import pytest

from udfleet import DataTypes, InvalidPlanError, TableAggregateFunction, coalesce, udf, udtaf
from udfleet.table import call, col, lit
from udfleet.table.expressions import concat_ws, rand, uuid
from udfleet.table.parser import parse_expression
from udfleet.table.sources import from_elements
from udfleet.table.table import Table
from udfleet.table.traversal import MAX_NODES

BIGINT, STRING, DOUBLE = DataTypes.BIGINT(), DataTypes.STRING(), DataTypes.DOUBLE()


class Top(TableAggregateFunction):
    def create_accumulator(self):
        return []

    def accumulate(self, state, value):
        state.append(value)

    def emit_value(self, state):
        yield from state


noise = udf(lambda s: s, [STRING], STRING, name="noise", deterministic=False)
steady = udf(lambda s: s, [STRING], STRING, name="steady")
top2 = udtaf(Top(), input_types=[STRING], result_type=STRING, accumulator_type="ARRAY<STRING>", name="top2")
KNOWN = {function.name: function for function in (noise, steady, top2)}


class Functions:
    """Functions by name; answers questions about columns with the types given, and keeps them."""

    def __init__(self, *types):
        self.types = list(types)
        self.asked = []

    def refer(self, function):
        return function if isinstance(function, str) else function.name

    def kind(self, function):
        known = KNOWN.get(function) if isinstance(function, str) else function
        return known.kind if known else ""

    def result_type(self, function):
        known = KNOWN.get(self.refer(function))
        return known.result_type if known else None

    def is_deterministic(self, function):
        known = KNOWN.get(function) if isinstance(function, str) else function
        return known is None or known.deterministic

    def column_types(self, plan):
        self.asked.append(plan.operators[-1])
        return [self.types.pop(0)]


class NoFleet:
    def __init__(self, *types):
        self._functions = Functions(*types)


def table_with(*types):
    fleet = NoFleet(*types)
    return Table(fleet, from_elements([(1, 2.0, "x")], ["n", "x", "s"])), fleet._functions


def arguments(made):
    return [getattr(argument, "value", argument) for argument in made.arguments[1:]]


def test_optional_arguments_may_be_expressions():
    group, end = lit(1), col("n")
    assert arguments(col("s").regexp_extract("a", group)) == ["a", 1]
    assert col("l").array_slice(1, end).arguments[2] is end
    assert len(col("s").parse_url("QUERY", col("k")).arguments) == 3


def test_defaults_stand_in_for_what_is_left_out_before_a_given_argument():
    assert arguments(col("l").array_sort(nulls_first=False)) == [True, False]
    assert arguments(col("s").str_to_map(middle=":")) == [",", ":"]
    assert arguments(col("l").array_sort()) == arguments(col("s").str_to_map()) == []
    assert arguments(col("l").array_sort(False)) == [False]


def test_what_holds_an_aggregate_is_typed_in_its_group():
    table, functions = table_with(DOUBLE)
    plan = table.group_by("s as k").select("k, truncate(avg(x), 2)")._plan()
    (asked,) = functions.asked
    assert [key.name for key in asked.aggregate.keys] == ["k"]
    assert [item.expression.call.function for item in asked.aggregate.items] == ["avg"]
    assert plan.operators[-1].aggregate.items[1].expression.call.function == "truncate"
    table, functions = table_with(DOUBLE)
    table.select("truncate(avg(x), 2)")._plan()
    assert functions.asked[0].ListFields()[0][0].name == "aggregate"


def test_a_key_s_alias_is_typed_in_its_group():
    table, functions = table_with(BIGINT)
    table.group_by("n as k").select("truncate(k, 1), count(x)")._plan()
    assert functions.asked[0].aggregate.items[0].expression.column == "k"


def test_an_aggregate_s_arguments_are_typed_in_their_rows():
    table, functions = table_with(BIGINT, DataTypes.ARRAY(BIGINT))
    table.group_by("s as k").select("cardinality(array_agg(n))")._plan()
    assert [asked.ListFields()[0][0].name for asked in functions.asked] == ["project", "aggregate"]


def test_arguments_of_a_table_aggregate_may_be_built_in():
    table, _ = table_with()
    plan = table.group_by("n").flat_aggregate(top2(col("s").md5).alias("v"))._plan()
    assert plan.operators[-1].aggregate.table.arguments[0].call.function == "md5"
    assert plan.operators[-1].aggregate.table.arguments[0].call.arguments[0].column == "s"


VOLATILE = [
    noise(col("s")).overlay("x", 2),
    uuid().right(4),
    col("s").left(rand().cast("INT")),
    noise(col("s")).locate("x", 2),
    lit("x").locate(call("noise", col("s")), 2),
    concat_ws(",", noise(col("s")), "x"),
    coalesce(noise(col("s")), "x"),
    call("noise", col("s")).upper_case.if_null("x"),
    rand().between(0.1, 0.2),
    noise(col("s")).in_("a", "b"),
    "noise(s) IN ('a', 'b')",
    "noise(s) BETWEEN 'a' AND 'b'",
    "right(uuid(), 4)",
    "overlay(noise(s), 'x', 2)",
]


@pytest.mark.parametrize("made", VOLATILE, ids=map(str, VOLATILE))
def test_what_differs_at_each_call_is_bound_and_evaluated_once(made):
    table, _ = table_with()
    value = parse_expression(made) if isinstance(made, str) else made
    plan = table.select(value.alias("v"), value.alias("w"))._plan()
    for item in plan.operators[-1].project.items:
        found = parts(item.expression)
        assert [call.call.function for call in found if call.call.function] in (["noise"], ["uuid"], ["rand"])
        assert [len(part.bindings) for part in found if part.bindings] == [1]
        assert any(part.WhichOneof("kind") == "bound" and part.bound == 0 for part in found)


def parts(expression):
    """It and all that it is made of."""
    inner = [*expression.bindings, *expression.call.arguments, *expression.operation.operands]
    return [expression, *(found for part in inner for found in parts(part))]


def test_bindings_within_each_other_are_counted_from_the_outermost():
    table, _ = table_with()
    made = uuid().right(4).overlay(noise(col("s")), 1)
    (item,) = table.select(made.alias("v"))._plan().operators[-1].project.items
    right, new, length = item.expression.bindings
    assert len(right.bindings) == 1 and right.bindings[0].call.function == "uuid" and new.call.function == "noise"
    assert length.operation.operands[0].bound == 1, "the length is that of the new text"
    found = parts(item.expression)
    assert sorted(part.call.function for part in found if part.call.function) == ["noise", "uuid"]
    assert {part.bound for part in found if part.WhichOneof("kind") == "bound"} == {0, 1, 2}


@pytest.mark.parametrize(
    "made",
    [steady(col("s")).right(2), col("s").overlay("x", 2), noise(col("s")).upper_case, noise(col("s")).in_("a"),
     coalesce(col("s"), noise(col("s"))), call("unknown", col("s")).right(1), uuid().left(4)],
)  # fmt: skip
def test_what_is_evaluated_once_may_differ(made):
    table, _ = table_with()
    (item,) = table.select(made.alias("v"))._plan().operators[-1].project.items
    assert not any(part.bindings for part in parts(item.expression))


def test_the_parts_of_an_expression_are_bounded():
    made = col("s")
    for _ in range(12):
        made = made.overlay("x", 1, 1)
    table, _ = table_with()
    with pytest.raises(InvalidPlanError) as error:
        table.select(made.alias("v"))._plan()
    assert str(MAX_NODES) in error.value.message


def test_a_typed_function_s_argument_is_bounded_too():
    text = "s"
    for _ in range(12):
        text = f"overlay({text}, 'x', 1, 1)"
    table, functions = table_with(STRING)
    with pytest.raises(InvalidPlanError):
        table.select(f"hex({text}) as v")._plan()
    assert not functions.asked
