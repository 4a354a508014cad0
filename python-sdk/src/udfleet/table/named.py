"""Built-in functions by name that are made of others, or are Python functions: what the fleet has no kernel for."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..errors import InvalidPlanError
from ..types import DataType
from . import json_constructors, python_builtins, value_aggregates
from .expression import (
    MAX_DEPTH,
    BuiltinCall,
    Call,
    Expression,
    Named,
    Operation,
    expression,
    lit,
)
from .expressions import concat_ws, e, log, pi, to_date, to_timestamp

TypeOf = Callable[[Expression], DataType]
"""The type of an expression over the columns that there are."""

AGGREGATES = value_aggregates.NAMES | {"sum0"}
"""Names of aggregates among them, in lower case."""


def _method(name: str) -> Callable[..., Expression]:
    """A method of expressions as a function of its value and arguments."""
    return lambda value, *arguments: _called(getattr(value, name), arguments)


def _called(found: Expression | Callable[..., Expression], arguments: tuple[Expression, ...]) -> Expression:
    return found if isinstance(found, Expression) else found(*arguments)


def _now() -> datetime.datetime:
    """The moment when the plan is made, in UTC and milliseconds."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


_SCALARS: dict[str, tuple[int, int, Callable[..., Expression]]] = {
    "left": (2, 2, _method("left")),
    "right": (2, 2, _method("right")),
    "instr": (2, 2, _method("instr")),
    "locate": (2, 3, _method("locate")),
    "overlay": (3, 4, _method("overlay")),
    "log2": (1, 1, _method("log2")),
    # SQL has the base first.
    "log": (1, 2, lambda first, *value: log(value[0], first) if value else log(first)),
    "cot": (1, 1, _method("cot")),
    "degrees": (1, 1, _method("degrees")),
    "radians": (1, 1, _method("radians")),
    "to_date": (1, 2, to_date),
    "to_timestamp": (1, 2, to_timestamp),
    "current_date": (0, 0, lambda: lit(_now().date())),
    "current_time": (0, 0, lambda: lit(_now().time(), "TIME(3)")),
    "current_timestamp": (0, 0, lambda: lit(_now().replace(tzinfo=datetime.timezone.utc), "TIMESTAMP_LTZ(3)")),
    "localtime": (0, 0, lambda: lit(_now().time(), "TIME(3)")),
    "localtimestamp": (0, 0, lambda: lit(_now(), "TIMESTAMP(3)")),
    "concat_ws": (2, 1_000, concat_ws),
    "pi": (0, 0, pi),
    "e": (0, 0, e),
}
"""By name: the fewest and the most arguments, and what makes the expression of them."""


_NAMES = _SCALARS.keys() | AGGREGATES | python_builtins.NAMES | json_constructors.NAMES


def is_named(function: object) -> bool:
    """Whether it is the name of one of these."""
    return isinstance(function, str) and function.lower() in _NAMES


def resolved(
    value: Expression,
    registered: Callable[[str], bool],
    type_of: TypeOf,
    types_within: Callable[[Call, TypeOf], TypeOf] = lambda _, outside: outside,
    depth: int = 1,
    known: Mapping[int, Expression] = MappingProxyType({}),
) -> Expression:
    """The expression with what these functions stand for in place of their calls.

    :param registered: whether a function of that name is: it takes precedence.
    :param type_of: the type of an expression over the columns that there are.
    :param types_within: finds the types of what a call has as arguments, where others are found outside of it.
    :param known: by identity, what stands for the arguments that expressions around it evaluate several times, so that
        they stay one.
    """
    if id(value) in known:
        return known[id(value)]
    if depth > MAX_DEPTH:
        return value  # which is told where the message is made

    if isinstance(value, Call):
        type_of = types_within(value, type_of)

    def inner(part: Expression) -> Expression:
        return resolved(part, registered, type_of, types_within, depth + 1, known)

    repeats = value.repeats
    if repeats is not None:
        name, arguments = repeats
        for argument in arguments:  # which may have those before it within
            known = {**known, id(argument): inner(argument)}
        repeats = (name, tuple(known[id(argument)] for argument in arguments))
    if isinstance(value, Named):
        made: Expression = inner(value.expression).alias(*value.names)
    elif isinstance(value, Operation):
        operands = [inner(operand) for operand in value.operands]
        made = Operation(value.operator, *operands, data_type=value.data_type, field=value.field, index=value.index)
    elif isinstance(value, Call):
        condition = None if value.condition is None else inner(value.condition)
        made = type(value)(
            value.function,
            map(inner, value.arguments),
            takes_row=value.takes_row,
            distinct=value.is_distinct,
            condition=condition,
        )
        built_in = isinstance(value, BuiltinCall)
        if is_named(value.function) and (built_in or not registered(str(value.function))):
            made = _stands_for(made, type_of)
    else:
        return value
    made.text = str(value)
    made.repeats = made.repeats or repeats
    return made


def _stands_for(call: Call, type_of: TypeOf) -> Expression:
    name = str(call.function).lower()
    if call.takes_row:
        raise InvalidPlanError(f"{name.upper()} does not take a whole row", expression=str(call))
    if name == "sum0":
        total = Call("sum", call.arguments, distinct=call.is_distinct, condition=call.condition)
        return total.if_null(0)
    if name in AGGREGATES:
        arguments = value_aggregates.prepared(name, call.arguments)
        function = value_aggregates.declared(name, len(arguments), lambda position: type_of(arguments[position]))
        return Call(function, arguments, distinct=call.is_distinct, condition=call.condition)
    if call.is_distinct or call.condition is not None:
        raise InvalidPlanError("DISTINCT and FILTER belong to calls of aggregate functions", expression=str(call))
    if name in python_builtins.NAMES:
        types = [functools.partial(type_of, argument) for argument in call.arguments]
        function = python_builtins.declared(name, len(types), lambda position: types[position]())
        return Call(function, call.arguments)
    if name in json_constructors.NAMES:
        return json_constructors.resolved(name, call.arguments, type_of)
    least, most, make = _SCALARS[name]
    if not least <= len(call.arguments) <= most:
        raise InvalidPlanError(f"{name.upper()} does not take {len(call.arguments)} arguments", expression=str(call))
    made = expression(make(*call.arguments))
    return _stands_for(made, type_of) if isinstance(made, BuiltinCall) else made
