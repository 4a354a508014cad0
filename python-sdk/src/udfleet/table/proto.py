"""Expressions as messages of plan.proto."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .._proto.udfleet.v1 import plan_pb2
from ..errors import InvalidPlanError
from ..types import DataType
from ..types.wire import to_proto
from .expression import MAX_DEPTH, Call, Column, Expression, Literal, Operation
from .traversal import find

Bindings = tuple[Expression, ...]

Refer = Callable[[Any], str]
"""The registered name of a function that is a name or a declaration."""
IsVolatile = Callable[[Call], bool]
"""Whether a call gives another value each time."""

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_MAX_TEXT = 500


def to_message(
    expression: Expression, refer: Refer, is_volatile: IsVolatile, depth: int = 1, bound: Bindings = ()
) -> plan_pb2.Expression:
    """The message for an expression. What it evaluates several times with another value each time, it binds once.

    :param depth: how many expressions it lies within, itself included.
    :param bound: what expressions around it have bound, which is known by its identity.
    :raises InvalidPlanError: nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise InvalidPlanError(
            f"expressions are nested deeper than {MAX_DEPTH} levels",
            hint="name parts of it in a select before",
            expression=expression.text[:_MAX_TEXT],
        )
    message = plan_pb2.Expression()
    position = next((position for position, known in enumerate(bound) if known is expression), None)
    if position is not None:
        message.bound = position
        message.text = str(expression)[:_MAX_TEXT]
        return message
    for argument in expression.repeats[1] if expression.repeats is not None else ():
        if find(argument, is_volatile) is not None and not any(argument is known for known in bound):
            message.bindings.append(to_message(argument, refer, is_volatile, depth + 1, bound))
            bound = (*bound, argument)
    if isinstance(expression, Column):
        message.column = expression.name
    elif isinstance(expression, Literal):
        message.literal.CopyFrom(_literal(expression.value, expression.data_type))
    elif isinstance(expression, Call):
        message.call.CopyFrom(call_message(expression, refer, is_volatile, depth + 1, bound))
    elif isinstance(expression, Operation):
        operation = message.operation
        operation.operator = getattr(plan_pb2.Operation, expression.operator)
        operation.operands.extend(
            to_message(operand, refer, is_volatile, depth + 1, bound) for operand in expression.operands
        )
        if expression.data_type is not None:
            operation.type.CopyFrom(to_proto(expression.data_type))
        operation.field = expression.field
        if expression.index is not None:
            operation.position = expression.index
    # Last: rendering recurses as deep as the expression goes, which is known to be bounded by now.
    message.text = str(expression)[:_MAX_TEXT]
    return message


def call_message(
    call: Call, refer: Refer, is_volatile: IsVolatile, depth: int = 1, bound: Bindings = ()
) -> plan_pb2.Call:
    """The message for a call, whose arguments lie at that depth."""
    message = plan_pb2.Call(function=refer(call.function), takes_row=call.takes_row, distinct=call.is_distinct)
    message.arguments.extend(to_message(argument, refer, is_volatile, depth, bound) for argument in call.arguments)
    if call.condition is not None:
        message.filter.CopyFrom(to_message(call.condition, refer, is_volatile, depth, bound))
    return message


def _literal(value: Any, data_type: DataType) -> plan_pb2.Literal:
    message = plan_pb2.Literal(type=to_proto(data_type))
    if value is None:
        return message
    if data_type.root == "DECIMAL":
        message.text = format(Decimal(value), "f")
    elif isinstance(value, bool):
        message.boolean = value
    elif isinstance(value, (str, float)):
        setattr(message, "text" if isinstance(value, str) else "number", value)
    elif isinstance(value, (bytes, bytearray)):
        message.binary = bytes(value)
    else:
        try:
            message.integer = _integer(value)
        except (OverflowError, ValueError):
            raise InvalidPlanError(f"{value} is out of the range of {data_type}") from None
    return message


def _integer(value: Any) -> int:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return int((value - _EPOCH) // _MICROSECOND)
    if isinstance(value, datetime.date):
        return (value - _EPOCH.date()).days
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, datetime.timedelta):
        return value // _MICROSECOND
    return int(value)
