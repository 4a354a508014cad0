"""Expressions from text: Python's grammar by `ast`, with the words and operators of SQL."""

from __future__ import annotations

import ast
import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ..errors import InvalidInputError
from ..types.sql import parse as parse_type
from . import expression as made
from .expression import MAX_DEPTH, Call, Column, Expression, Literal, Operation
from .intervals import parse_interval
from .tokens import Source, Token, fail, split, to_python, tokenize, unquoted

_BINARY = {ast.Add: "PLUS", ast.Sub: "MINUS", ast.Mult: "TIMES", ast.Div: "DIVIDE", ast.Mod: "MODULO"}
_COMPARE = {
    ast.Eq: "EQUAL", ast.NotEq: "NOT_EQUAL", ast.Lt: "LESS", ast.LtE: "LESS_OR_EQUAL", ast.Gt: "GREATER",
    ast.GtE: "GREATER_OR_EQUAL",
}  # fmt: skip
_DATED: dict[str, Callable[[str], Any]] = {
    "__date__": datetime.date.fromisoformat,
    "__time__": datetime.time.fromisoformat,
    "__timestamp__": datetime.datetime.fromisoformat,
}
_MAX_TEXT = 100_000


def parse_expression(text: str) -> Expression:
    """One expression, without an alias.

    :raises InvalidPlanError: pointing at what is wrong.
    """
    return _expression(text, tokenize(_checked(text)))


def parse_item(text: str) -> Expression:
    """One expression, which may have an alias: `f(a) as x`, `t(a) as (x, y)`."""
    items = parse_items(text)
    if len(items) != 1:
        fail(text, 0, "one expression is wanted here")
    return items[0]


def parse_items(text: str) -> list[Expression]:
    """A list of expressions, each with its alias where it has one: `a, b + 1 as x`. `*` is the column "*"."""
    tokens = tokenize(_checked(text))
    return [_item(text, part) for part in split(text, tokens, ",")]


def parse_names(text: str) -> list[str]:
    """A list of names: `a, b`."""
    names = []
    for part in split(text, tokenize(_checked(text)), ","):
        if len(part) != 1 or part[0].kind not in ("name", "quoted"):
            fail(text, part[0].start if part else len(text), "a name is wanted here")
        names.append(unquoted(part[0]))
    return names


def _checked(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"an expression is text or made by col(), lit() and call(), not {text!r}")
    if len(text) > _MAX_TEXT:
        fail(text[:60], 0, f"an expression of {len(text)} characters is longer than the limit of {_MAX_TEXT}")
    return text


def _item(text: str, tokens: list[Token]) -> Expression:
    if [token.text for token in tokens] == ["*"]:
        return Column("*")
    value, *aliases = split(text, tokens, "AS")
    if not aliases:
        return _expression(text, value)
    if len(aliases) > 1:
        fail(text, aliases[1][0].start if aliases[1] else len(text), "one alias is enough")
    return _expression(text, value).alias(*_alias(text, aliases[0]))


def _alias(text: str, tokens: list[Token]) -> list[str]:
    inner = tokens[1:-1] if tokens and tokens[0].text == "(" and tokens[-1].text == ")" else tokens
    names = [token for token in inner if token.kind in ("name", "quoted")]
    commas = [token for token in inner if token.text == ","]
    if not names or inner[::2] != names or inner[1::2] != commas or (len(names) > 1 and inner is tokens):
        fail(text, tokens[0].start if tokens else len(text), "a name, or names in parentheses, follow `as`")
    return [unquoted(token) for token in names]


def _expression(text: str, tokens: list[Token]) -> Expression:
    if not tokens:
        fail(text, len(text), "an expression is missing")
    source = to_python(text, tokens)
    try:
        return _Converter(source).convert(ast.parse(source.code, mode="eval").body)
    except SyntaxError as error:
        offset = (error.offset or 1) - 1
        inside = [first for start, first, _ in source.starts if start <= offset]
        at_end = offset >= len(source.code) - 1
        fail(text, tokens[-1].end if at_end else inside[-1] if inside else 0, "this is no expression")
    except (RecursionError, MemoryError):
        fail(text[:60], 0, f"the expression is nested deeper than {MAX_DEPTH} levels")


def _cast(value: Expression, type_text: str) -> Expression:
    """A cast; of a number that is written there, DECIMAL without digits has all of them, as in PyFlink."""
    written = isinstance(value, Literal) and isinstance(value.value, (float, Decimal))
    if not written or type_text.strip().upper() not in ("DECIMAL", "DEC", "NUMERIC"):
        return value.cast(parse_type(type_text))
    exact = Decimal(repr(value.value)) if isinstance(value.value, float) else value.value  # type: ignore[attr-defined]
    return made.lit(exact)


class _Converter:
    """A tree of `ast` as an expression."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def fail(self, node: ast.expr, message: str) -> Any:
        fail(self.source.text, self.span(node)[0], message)

    def span(self, node: ast.expr) -> tuple[int, int]:
        return self.source.span(node.col_offset, node.end_col_offset or node.col_offset + 1)

    def convert(self, node: ast.expr) -> Expression:
        made = self._convert(node)
        start, end = self.span(node)
        made.text = self.source.text[start:end]
        return made

    def _convert(self, node: ast.expr) -> Expression:
        if isinstance(node, ast.Name):
            return Column(self.name(node))
        if isinstance(node, ast.Constant):
            return self.constant(node)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return Operation(_BINARY[type(node.op)], self.convert(node.left), self.convert(node.right))
        if isinstance(node, ast.UnaryOp):
            return self.unary(node)
        if isinstance(node, ast.BoolOp):
            return self.chain("AND" if isinstance(node.op, ast.And) else "OR", list(map(self.convert, node.values)))
        if isinstance(node, ast.Compare):
            return self.compare(node)
        if isinstance(node, ast.IfExp):
            return made.if_then_else(self.convert(node.test), self.convert(node.body), self.convert(node.orelse))
        if isinstance(node, ast.Attribute):
            return self.convert(node.value).get(self.source.names.get(node.attr, node.attr))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            field = node.slice.value
            if isinstance(field, (int, str)) and not isinstance(field, bool):
                return self.convert(node.value).get(field)
        if isinstance(node, ast.Call):
            return self.call(node)
        return self.fail(node, "expressions have no such form")  # type: ignore[no-any-return]

    def name(self, node: ast.Name) -> str:
        if node.id not in self.source.names:
            self.fail(node, "this belongs into the parentheses of a function")
        return self.source.names[node.id]

    def constant(self, node: ast.Constant) -> Expression:
        try:
            return made.lit(node.value)
        except (TypeError, ValueError) as error:
            return self.fail(node, str(error))  # type: ignore[no-any-return]

    def unary(self, node: ast.UnaryOp) -> Expression:
        operand = node.operand
        if isinstance(node.op, ast.USub):
            if isinstance(operand, ast.Constant) and type(operand.value) in (int, float):
                return made.lit(-operand.value)  # type: ignore[operator]
            return -self.convert(operand)
        if isinstance(node.op, ast.UAdd):
            return self.convert(operand)
        if isinstance(node.op, ast.Not):
            return ~self.convert(operand)
        return self.fail(node, "there is no such operator")  # type: ignore[no-any-return]

    @staticmethod
    def chain(operator: str, operands: list[Expression]) -> Expression:
        result = operands[0]
        for operand in operands[1:]:
            result = Operation(operator, result, operand)
        return result

    def compare(self, node: ast.Compare) -> Expression:
        tests = []
        left = node.left
        for operator, right in zip(node.ops, node.comparators):
            tests.append(self.test(left, operator, right, node))
            left = right
        return self.chain("AND", tests)

    def test(self, left: ast.expr, operator: ast.cmpop, right: ast.expr, node: ast.Compare) -> Expression:
        if isinstance(operator, (ast.Is, ast.IsNot)):
            null = isinstance(right, ast.Constant) and right.value is None
            if not null:
                self.fail(right, "IS is followed by NULL or NOT NULL")
            if len(node.ops) > 1:
                self.fail(node, "put the comparison in parentheses: (a = b) IS NULL")
            value = self.convert(left)
            return value.is_null if isinstance(operator, ast.Is) else value.is_not_null
        if isinstance(operator, (ast.In, ast.NotIn)):
            special = self.special_test(left, right)
            if special is not None:
                return special if isinstance(operator, ast.In) else ~special
            listed = list(right.elts) if isinstance(right, (ast.Tuple, ast.List)) else [right]
            value = self.convert(left)
            found = self.chain("OR", [Operation("EQUAL", value, self.convert(item)) for item in listed])
            found = made.repeating("IN", found, value) if len(listed) > 1 else found
            return found if isinstance(operator, ast.In) else ~found
        for side in (left, right):
            if isinstance(side, ast.Constant) and side.value is None:
                self.fail(side, "nothing equals NULL: write IS NULL or IS NOT NULL")
        return Operation(_COMPARE[type(operator)], self.convert(left), self.convert(right))

    def special_test(self, left: ast.expr, right: ast.expr) -> Expression | None:
        """LIKE, SIMILAR TO and BETWEEN."""
        if not isinstance(right, ast.Call) or not isinstance(right.func, ast.Name):
            return None
        name = right.func.id
        if name == "__like__" and len(right.args) == 1:
            return Operation("LIKE", self.convert(left), self.convert(right.args[0]))
        if name == "__similar__" and len(right.args) == 1:
            return self.convert(left).similar(self.convert(right.args[0]))
        if name == "__between__" and len(right.args) == 2:
            return self.convert(left).between(self.convert(right.args[0]), self.convert(right.args[1]))
        return None

    def call(self, node: ast.Call) -> Expression:
        if node.keywords:
            self.fail(node, "functions take arguments by position only")
        if isinstance(node.func, ast.Name) and node.func.id not in self.source.names:
            return self.special(node, node.func.id)
        if isinstance(node.func, ast.Attribute):
            method = self.method(node, node.func)
            if method is not None:
                return method
        return self.function(node, self.path(node.func))

    def path(self, node: ast.expr) -> str:
        """The name of a function, which may hold points."""
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.Attribute):
            return f"{self.path(node.value)}.{self.source.names.get(node.attr, node.attr)}"
        return self.fail(node, "only functions can be called")  # type: ignore[no-any-return]

    def function(self, node: ast.Call, name: str) -> Expression:
        arguments = list(node.args)
        marks = [a.id if isinstance(a, ast.Name) and a.id.startswith("__") else "" for a in arguments]
        if marks == ["__row__"]:
            return Call(name, takes_row=True)
        distinct = marks[:1] == ["__distinct__"]
        if any(marks[distinct:]):
            self.fail(node, "`*` and DISTINCT come first and once")
        converted = [self.convert(argument) for argument in arguments[distinct:]]
        if name.lower() == "if_then_else" and len(converted) == 3:
            return made.if_then_else(*converted)
        return Call(name, converted, distinct=distinct)

    def case(self, node: ast.Call) -> Expression:
        """Conditions and values in turn, then the value where none is true."""
        *pairs, otherwise = map(self.convert, node.args)
        result = otherwise
        for condition, value in reversed(list(zip(pairs[::2], pairs[1::2], strict=True))):
            result = made.if_then_else(condition, value, result)
        return result

    def special(self, node: ast.Call, name: str) -> Expression:
        if name == "__case__":
            return self.case(node)
        if name == "__extract__" and isinstance(node.args[0], ast.Constant):
            return Operation("EXTRACT", self.convert(node.args[1]), field=str(node.args[0].value))
        text = node.args[-1]
        value = text.value if isinstance(text, ast.Constant) else None
        try:
            if name == "__cast__" and isinstance(value, str):
                return _cast(self.convert(node.args[0]), value)
            if name == "__try_cast__" and isinstance(value, str):
                return self.convert(node.args[0]).try_cast(value)
            if name == "__interval__":
                upper, lower = (str(part.value) for part in node.args[:2] if isinstance(part, ast.Constant))
                return parse_interval(str(value), upper, lower)
            return made.lit(_DATED[name](str(value)))
        except (KeyError, ValueError, OverflowError, InvalidInputError) as error:
            return self.fail(node, str(error))  # type: ignore[no-any-return]

    def method(self, node: ast.Call, func: ast.Attribute) -> Expression | None:
        """`f(a) FILTER (WHERE ...)`, and the methods of expression objects where they can't be functions."""
        name = self.source.names.get(func.attr, func.attr)
        if name == "__filter__":
            inner = self.convert(func.value)
            if not isinstance(inner, Call):
                self.fail(node, "FILTER follows the call of an aggregate function")
            return inner.filter(self.convert(node.args[0]))  # type: ignore[attr-defined, no-any-return]
        if isinstance(func.value, (ast.Name, ast.Attribute)) and name not in ("get", "cast"):
            return None
        if name in ("get", "cast") and len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
            value = self.convert(func.value)
            try:
                return value.get(node.args[0].value) if name == "get" else value.cast(node.args[0].value)  # type: ignore[arg-type]
            except (TypeError, ValueError) as error:
                self.fail(node, str(error))
        return None
