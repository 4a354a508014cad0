"""Random expressions, run by the fleet and by a few lines of Python: the same results, null for null."""

from __future__ import annotations

import pytest
from fleet_support import BIGINT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udfleet import udf

ROWS = [(a, b, p) for a in (None, 0, 1, -7, 40) for b in (None, 3, -2) for p in (None, True, False)]
SCHEMA = "ROW<a BIGINT, b BIGINT, p BOOLEAN>"


def plus(i, j):
    return None if i is None or j is None else i + j


def strict(f):
    return lambda x, y: None if x is None or y is None else f(x, y)


def divide(x, y):
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def land(x, y):
    return False if x is False or y is False else None if x is None or y is None else True


def lor(x, y):
    return True if x is True or y is True else None if x is None or y is None else False


ARITHMETIC = {"+": strict(lambda x, y: x + y), "-": strict(lambda x, y: x - y)}
BY_LITERAL = {
    "*": strict(lambda x, y: x * y),
    "/": strict(divide),
    "%": strict(lambda x, y: x - y * divide(x, y)),
}
COMPARE = {
    "=": strict(lambda x, y: x == y),
    "<>": strict(lambda x, y: x != y),
    "<": strict(lambda x, y: x < y),
    "<=": strict(lambda x, y: x <= y),
    ">": strict(lambda x, y: x > y),
    ">=": strict(lambda x, y: x >= y),
}

# An expression is its text and its meaning: a function of a row.


def infix(operators):
    def make(parts):
        (left, x), operator, (right, y) = parts
        f = operators[operator]
        return f"({left}) {operator} ({right})", lambda row: f(x(row), y(row))

    return make


def literal(value):
    return str(value), lambda row: value


def called(parts):
    (left, x), (right, y) = parts
    return f"expressions_plus({left}, {right})", lambda row: plus(x(row), y(row))


def chosen(parts):
    (condition, c), (left, x), (right, y) = parts
    return f"if_then_else({condition}, {left}, {right})", lambda row: x(row) if c(row) is True else y(row)


def negated(part):
    text, f = part
    return f"NOT ({text})", lambda row: None if f(row) is None else not f(row)


def null_test(part):
    text, f = part
    return f"({text}) IS NULL", lambda row: f(row) is None


def cast_to_int(part):
    text, f = part
    return f"CAST(CAST({text} AS STRING) AS BIGINT)", f


def numbers(depth):
    leaves = st.one_of(
        st.just(("a", lambda row: row[0])), st.just(("b", lambda row: row[1])), st.integers(-5, 5).map(literal)
    )
    if depth == 0:
        return leaves
    inner = numbers(depth - 1)
    return st.one_of(
        leaves,
        st.tuples(inner, st.sampled_from(sorted(ARITHMETIC)), inner).map(infix(ARITHMETIC)),
        st.tuples(inner, st.sampled_from(sorted(BY_LITERAL)), st.sampled_from([2, 3, -3]).map(literal)).map(
            infix(BY_LITERAL)
        ),
        st.tuples(inner, inner).map(called),
        st.tuples(truths(depth - 1), inner, inner).map(chosen),
        inner.map(cast_to_int),
    )


def truths(depth):
    leaves = st.just(("p", lambda row: row[2]))
    if depth == 0:
        return leaves
    inner, values = truths(depth - 1), numbers(depth - 1)
    return st.one_of(
        leaves,
        st.tuples(values, st.sampled_from(sorted(COMPARE)), values).map(infix(COMPARE)),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(infix({"AND": land, "OR": lor})),
        inner.map(negated),
        values.map(null_test),
    )


@pytest.fixture(scope="module", autouse=True)
def registered(fleet):
    fleet.register_function("expressions_plus", udf(plus, [BIGINT, BIGINT], BIGINT))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(numbers(3), min_size=1, max_size=3), truths(3))
def test_expressions_mean_what_they_say(fleet, values, condition):
    items = ", ".join(f"{text} as c{index}" for index, (text, _) in enumerate(values))
    table = fleet.from_elements(ROWS, SCHEMA).where(condition[0]).select(items)
    expected = [[f(row) for _, f in values] for row in ROWS if condition[1](row) is True]
    assert [list(row.values()) for row in table.to_pylist()] == expected, (condition[0], items)
