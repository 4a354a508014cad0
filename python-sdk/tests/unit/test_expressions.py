"""Expressions: text and objects make the same plan; mistakes are pointed at."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfleet import DataTypes, InvalidInputError, InvalidPlanError, and_, coalesce, concat, not_, null_of, or_, udf
from udfleet._proto.udfleet.v1 import plan_pb2
from udfleet.table import call, col, if_then_else, lit
from udfleet.table.expression import Call, Column, Expression, Operation
from udfleet.table.operators import items
from udfleet.table.parser import parse_expression, parse_items, parse_names
from udfleet.table.proto import to_message

BIGINT = DataTypes.BIGINT()
add = udf(lambda i, j: i + j, [BIGINT, BIGINT], BIGINT, name="add")


def message(expression):
    """The plan's message, without texts."""
    made = to_message(expression, lambda function: getattr(function, "name", function), lambda _: False)
    strip(made)
    return made


def strip(expression):
    expression.ClearField("text")
    for part in [*expression.call.arguments, *expression.operation.operands]:
        strip(part)
    if expression.HasField("call") and expression.call.HasField("filter"):
        strip(expression.call.filter)


a, b, s = col("a"), col("b"), col("s")

SAME = [
    ("a", a),
    ("a + 1", a + 1),
    ("1 + a * b", 1 + a * b),
    ("(1 + a) * b", (1 + a) * b),
    ("a - b - 1", a - b - 1),
    ("a / 2 % 3", a / 2 % 3),
    ("-a", -a),
    ("-1", lit(-1)),
    ("a = 1", a == 1),
    ("a == 1", a == 1),
    ("a <> b", a != b),
    ("a != b", a != b),
    ("a <= 1 AND b >= 2", (a <= 1) & (b >= 2)),
    ("a < 1 or b > 2 oR a = 3", (a < 1) | (b > 2) | (a == 3)),
    ("not a = 1", ~(a == 1)),
    ("NOT a = 1 && b = 1", ~(a == 1) & (b == 1)),
    ("1 < a < 3", (lit(1) < a) & (a < 3)),
    ("a IS NULL", a.is_null),
    ("a + b is not null", (a + b).is_not_null),
    ("NOT a IS NULL", ~a.is_null),
    ("CAST(a AS DECIMAL(10, 2))", a.cast(DataTypes.DECIMAL(10, 2))),
    ("try_cast(a AS TIMESTAMP(3))", a.try_cast("TIMESTAMP(3)")),
    ("cast(add(a, b) as string)", add(a, b).cast("STRING")),
    ("add(a, 1)", add(a, 1)),
    ("add(add(a, b), -2)", add(add(a, b), -2)),
    ("add@3(a, b)", call("add@3", a, b)),
    ("my.add(a)", call("my.add", a)),
    ("one()", call("one")),
    ("f(*)", Call("f", takes_row=True)),
    ("f(DISTINCT a) FILTER (WHERE b > 1)", call("f", a).distinct.filter(b > 1)),
    ("if_then_else(a = 1, b, 2)", if_then_else(a == 1, b, 2)),
    ("b if a = 1 else 2", (a == 1).then(b, 2)),
    ("r.x.y", col("r").get("x").get("y")),
    ("r['x']", col("r")["x"]),
    ("`my col` + `a``b`", col("my col") + col("a`b")),
    ("class + lambda + übung", col("class") + col("lambda") + col("übung")),
    ("s = 'it''s'", s == "it's"),
    ('s = "x\\ty"', s == "x\ty"),
    (r"f(s, '\d+')", call("f", s, r"\d+")),
    ("TRUE and false", lit(True) & lit(False)),
    ("f(NULL)", call("f", None)),
    ("a IN (1, 2)", (a == 1) | (a == 2)),
    ("a not in (1)", ~(a == 1)),
    ("d < DATE '2020-01-02'", col("d") < datetime.date(2020, 1, 2)),
    ("TIMESTAMP '2020-01-02 03:04:05.6'", lit(datetime.datetime(2020, 1, 2, 3, 4, 5, 600000))),
    ("1.5e3", lit(1500.0)),
    ("3000000000", lit(3000000000)),
    ("s LIKE 'a%'", s.like("a%")),
    ("s NOT LIKE upper(s) AND a = 1", ~s.like(call("upper", s)) & (a == 1)),
    ("a BETWEEN 1 AND b + 2", a.between(1, b + 2)),
    ("a NOT BETWEEN 1 AND 2 OR b = 1", ~a.between(1, 2) | (b == 1)),
    ("CASE WHEN a > 1 THEN 'x' WHEN b IS NULL THEN 'y' ELSE s END", (a > 1).then("x", b.is_null.then("y", s))),
    ("CASE a WHEN 1 THEN CASE WHEN b = 2 THEN 3 END ELSE 4 END", (a == 1).then((b == 2).then(3, None), 4)),
    ("CASE WHEN a BETWEEN 1 AND 2 AND b = 1 THEN 1 END + 1", (a.between(1, 2) & (b == 1)).then(1, None) + 1),
    ("position('x' IN s)", call("position", "x", s)),
    ("substring(s FROM 2 FOR a)", call("substring", s, 2, a)),
    ("like + between + `case`", col("like") + col("between") + col("case")),
]


@pytest.mark.parametrize(("text", "made"), SAME, ids=[text for text, _ in SAME])
def test_text_and_objects_make_the_same_plan(text, made):
    parsed = parse_expression(text)
    assert message(parsed) == message(made)
    assert parsed.text == text == str(parsed)
    # What an object is rendered as means the same again.
    assert message(parse_expression(str(made))) == message(made)


def test_lists_and_aliases():
    parsed = parse_items("a, add(a, 1) as x, `b c`, t(a, b) AS (x, `y z`), *")
    assert [type(item).__name__ for item in parsed] == ["Column", "Named", "Column", "Named", "Column"]
    assert parsed[1].names == ("x",) and parsed[3].names == ("x", "y z") and parsed[4].name == "*"
    assert parsed[1].expression.text == "add(a, 1)" and str(parsed[3]) == "t(a, b) as (x, `y z`)"
    assert parse_names("a, `b c` , d") == ["a", "b c", "d"]
    mixed = items(["a, b", a + 1, [s.alias("t")], 5])
    assert [str(item) for item in mixed] == ["a", "b", "a + 1", "s as t", "5"]
    assert message(add(a.alias("ignored"), 1)) == message(add(a, 1))


def test_declared_functions_run_here_or_make_calls():
    assert add(1, 2) == 3
    made = add(a, 2)
    assert isinstance(made, Call) and made.function is add
    assert str(made) == "add(a, 2)" and repr(made) == "<expression add(a, 2)>"


MISTAKES = [
    ("add(a, ", 3, "not closed"),
    ("a)", 1, "nothing is open"),
    ("a ++", 4, "no expression"),
    ("a b", 0, "no expression"),
    ("f(a) as", 7, "follow `as`"),
    ("f(a) as x, y as (", 16, "not closed"),
    ("f(a) as x y", 8, "follow `as`"),
    ("a = NULL", 4, "IS NULL"),
    ("s = 'abc", 4, "does not end"),
    ("a is 3", 5, "NULL or NOT NULL"),
    ("CAST(a)", 0, "CAST takes"),
    ("try_cast(a)", 0, "TRY_CAST takes"),
    ("CAST(a AS NOPE)", 0, "expected a type at 'NOPE'"),
    ("f(x == 1, y, DISTINCT z)", 13, "no expression"),
    ("", 0, "missing"),
    ("a, , b", 6, "missing"),
    ("a; b", 1, "means nothing"),
    ("a ** b", 3, "no expression"),
    ("~a ? b", 3, "means nothing"),
    ("DATE 'never'", 0, "Invalid isoformat"),
    ("{}", 0, "means nothing"),
    ("a + __import__('os')", None, None),
    ("CASE WHEN a END", 5, "WHEN needs THEN"),
    ("CASE WHEN a THEN 1", 0, "no END"),
    ("a BETWEEN 1", 2, "BETWEEN takes two values"),
    ("a LIKE", 2, "LIKE takes a pattern"),
    ("EXTRACT(a)", 0, "EXTRACT takes a part"),
]


@pytest.mark.parametrize(("text", "position", "complaint"), MISTAKES, ids=[text for text, *_ in MISTAKES])
def test_mistakes_are_pointed_at(text, position, complaint):
    if complaint is None:
        # Nothing of Python's is reachable: it is a function like any other.
        assert "__import__" in str(parse_expression(text))
        return
    with pytest.raises(InvalidPlanError) as caught:
        parse_items(text)
    assert complaint in caught.value.message and caught.value.expression == text
    assert caught.value.message.splitlines()[-1].index("^") == position + 2


def test_misuse():
    for error, match, make in [
        (TypeError, "use & for AND", lambda: a == 1 and b == 2),
        (TypeError, "not a list", lambda: list(a)),
        (TypeError, "can't be a literal", lambda: a - [1]),
        (TypeError, "names a function", lambda: call(3, a)),
        (TypeError, "alias", lambda: a.alias()),
        (TypeError, "cast", lambda: a.cast(object)),
        (TypeError, "position of a field", lambda: a.get(1.5)),
        (TypeError, "position from 0", lambda: a.get(-1)),
        (InvalidInputError, "out of range", lambda: lit(300, "TINYINT")),
        (InvalidInputError, "not a str", lambda: lit(3, "STRING")),
        (ValueError, "38 digits", lambda: lit(10**40)),
        (TypeError, "is text or made by", lambda: parse_expression(3)),
    ]:
        with pytest.raises(error, match=match):
            make()


@pytest.mark.parametrize(
    ("value", "data_type", "field", "told"),
    [
        (1, "INT NOT NULL", "integer", 1),
        (1 << 40, "BIGINT NOT NULL", "integer", 1 << 40),
        (1 << 70, "DECIMAL(38, 0) NOT NULL", "text", str(1 << 70)),
        (True, "BOOLEAN NOT NULL", "boolean", True),
        (1.5, "DOUBLE NOT NULL", "number", 1.5),
        ("x", "STRING NOT NULL", "text", "x"),
        (b"x", "BYTES NOT NULL", "binary", b"x"),
        (Decimal("-1.50"), "DECIMAL(3, 2) NOT NULL", "text", "-1.50"),
        (Decimal("1E+3"), "DECIMAL(4, 0) NOT NULL", "text", "1000"),
        (Decimal("0.001"), "DECIMAL(3, 3) NOT NULL", "text", "0.001"),
        (datetime.date(1969, 12, 31), "DATE NOT NULL", "integer", -1),
        (datetime.time(0, 0, 1, 5), "TIME(6) NOT NULL", "integer", 1_000_005),
        (datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), "TIMESTAMP(6) NOT NULL", "integer", -1),
        (
            datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
            "TIMESTAMP_LTZ(6) NOT NULL",
            "integer",
            0,
        ),
        (datetime.timedelta(seconds=-1), "INTERVAL DAY TO SECOND NOT NULL", "integer", -1_000_000),
        (None, "NULL", None, None),
    ],
)
def test_literals(value, data_type, field, told):
    literal = lit(value)
    made = to_message(literal, str, lambda _: False).literal
    assert (str(literal.data_type), made.WhichOneof("value")) == (data_type, field)
    assert field is None or getattr(made, field) == told


OPERATORS = ["+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=", "AND", "OR"]


def texts():
    leaves = st.sampled_from(["a", "`b c`", "1", "-2.5", "'x''y'", "NULL", "TRUE", "f()", "r.x", "DATE '2020-01-02'"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
            st.tuples(inner).map(lambda t: f"NOT ({t[0]})"),
            st.tuples(inner).map(lambda t: f"({t[0]}) IS NULL"),
            st.tuples(inner, inner).map(lambda t: f"f({t[0]}, {t[1]})"),
            st.tuples(inner).map(lambda t: f"CAST({t[0]} AS ARRAY<INT>)"),
        ),
        max_leaves=12,
    )


@given(texts())
def test_any_expression_is_rendered_as_itself(text):
    try:
        parsed = parse_expression(text)
    except InvalidPlanError as error:
        assert "IS NULL" in error.message  # nothing equals NULL
        return
    wanted = message(parsed)
    forget_text(parsed)
    assert message(parse_expression(str(parsed))) == wanted


def forget_text(expression: Expression) -> None:
    expression.text = ""
    parts = expression.arguments if isinstance(expression, Call) else ()
    for part in expression.operands if isinstance(expression, Operation) else parts:
        forget_text(part)


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text):
    try:
        parsed = parse_items(text)
    except InvalidPlanError:
        return
    assert all(isinstance(item, Expression) for item in parsed)


def test_columns_are_not_python():
    assert isinstance(parse_expression("None_"), Column)
    assert plan_pb2.Expression(column="a") == message(parse_expression("a"))


def test_built_in_methods_mean_the_functions():
    x = col("x")
    for made, text in [
        (x.upper_case, "UPPER(x)"),
        (x.substring(2, 3).trim(), "TRIM(SUBSTRING(x, 2, 3))"),
        (x.extract("year"), "EXTRACT(YEAR FROM x)"),
        (x.count, "count(x)"),
        (x.sum.distinct, "sum(DISTINCT x)"),
        (and_(x > 1, x < 3, x.is_not_null), "((x > 1) AND (x < 3)) AND (x IS NOT NULL)"),
        (or_(x == 1, not_(x)), "(x = 1) OR (NOT x)"),
        (x.in_(1, 2), "(x = 1) OR (x = 2)"),
        (x.not_between(1, 2), "(x < 1) OR (x > 2)"),
        (x.get(0), "x[0]"),
        (x.is_not_true, "if_then_else(x, FALSE, TRUE)"),
        (coalesce(x, 1), "if_then_else(x IS NULL, 1, x)"),
        (concat("a", x), "CONCAT('a', x)"),
    ]:
        assert str(made) == text
    assert null_of("INT").data_type == DataTypes.INT()
    with pytest.raises(TypeError, match="one value or more"):
        coalesce()


def test_what_is_not_deterministic_runs_for_each_row():
    roll = udf(lambda *sides: sides, result_type="BIGINT", deterministic=False, name="roll")
    twice = udf(lambda n: roll(n) * 2, result_type="BIGINT", name="twice")
    assert str(roll()) == "roll()" and str(roll(6) + 1) == "roll(6) + 1"
    assert roll.run(6) == (6,) and twice(6) == (6, 6)
