"""Expressions as text that parses into the same expression."""

from __future__ import annotations

import datetime
from decimal import Decimal

from .expression import Call, Column, ColumnList, Expression, Flattened, Literal, Named, Operation
from .intervals import interval_text

_INFIX = {
    "PLUS": "+", "MINUS": "-", "TIMES": "*", "DIVIDE": "/", "MODULO": "%", "EQUAL": "=", "NOT_EQUAL": "<>",
    "LESS": "<", "LESS_OR_EQUAL": "<=", "GREATER": ">", "GREATER_OR_EQUAL": ">=", "AND": "AND", "OR": "OR",
}  # fmt: skip

_OPEN = frozenset({*_INFIX, "NEGATE", "NOT", "LIKE", "IS_NULL", "IS_NOT_NULL"})
"""Operators whose text needs parentheses within that of another."""


def render(expression: Expression) -> str:
    """The text."""
    if isinstance(expression, Column):
        return identifier(expression.name)
    if isinstance(expression, Literal):
        return _literal(expression)
    if isinstance(expression, Call):
        return _call(expression)
    if isinstance(expression, Operation):
        return _operation(expression)
    if isinstance(expression, ColumnList):
        name = "without_columns" if expression.without else "with_columns"
        return f"{name}({', '.join(map(_range, expression.parts))})"
    if isinstance(expression, Flattened):
        return f"flatten({expression.expression})"
    if isinstance(expression, Named):
        names = ", ".join(map(identifier, expression.names))
        return f"{expression.expression} as " + (names if len(expression.names) == 1 else f"({names})")
    raise TypeError(f"no text for {type(expression).__name__}")


def identifier(name: str) -> str:
    """A name, in backticks where it needs them."""
    return name if name.isidentifier() and name.isascii() else "`" + name.replace("`", "``") + "`"


def _range(part: tuple[str | int, str | int]) -> str:
    first, last = (identifier(end) if isinstance(end, str) else str(end) for end in part)
    return first if first == last else f"{first} to {last}"


def _literal(literal: Literal) -> str:
    value = literal.value
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if literal.data_type.root.startswith("INTERVAL"):
        return interval_text(value)
    if isinstance(value, datetime.datetime):
        return f"TIMESTAMP '{value.isoformat(' ')}'"
    if isinstance(value, datetime.date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, datetime.time):
        return f"TIME '{value.isoformat()}'"
    if isinstance(value, Decimal):
        return f"CAST('{value}' AS {literal.data_type.not_null()._base()})"
    return repr(value)


def _call(call: Call) -> str:
    name = call.function if isinstance(call.function, str) else call.function.name
    arguments = "*" if call.takes_row else ", ".join(map(str, call.arguments))
    distinct = "DISTINCT " if call.is_distinct else ""
    condition = "" if call.condition is None else f" FILTER (WHERE {call.condition})"
    return f"{name}({distinct}{arguments}){condition}"


def _operation(operation: Operation) -> str:
    operands = [_operand(operand) for operand in operation.operands]
    operator = operation.operator
    if operator in _INFIX:
        return f" {_INFIX[operator]} ".join(operands)
    if operator == "NEGATE":
        return f"-{operands[0]}"
    if operator == "NOT":
        return f"NOT {operands[0]}"
    if operator in ("CAST", "TRY_CAST"):
        return f"{operator}({operation.operands[0]} AS {operation.data_type})"
    if operator == "GET" and operation.index is not None:
        return f"{operands[0]}[{operation.index}]"
    if operator == "GET":
        return f"{operands[0]}.{identifier(operation.field)}"
    if operator == "LIKE":
        return f"{operands[0]} LIKE {operands[1]}"
    if operator == "EXTRACT":
        return f"EXTRACT({operation.field} FROM {operation.operands[0]})"
    if operator == "IF":
        return f"if_then_else({', '.join(map(str, operation.operands))})"
    if operator in ("IS_NULL", "IS_NOT_NULL"):
        return f"{operands[0]} {operator.replace('_', ' ')}"
    return f"{operator}({', '.join(map(str, operation.operands))})"


def _operand(expression: Expression) -> str:
    text = str(expression)
    whole = isinstance(expression, (Column, Literal, Call)) or (
        isinstance(expression, Operation) and expression.operator not in _OPEN
    )
    return text if whole else f"({text})"
