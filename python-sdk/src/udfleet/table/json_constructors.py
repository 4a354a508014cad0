"""JSON_OBJECT and JSON_ARRAY: which of their values are JSON already follows from the expressions that give them."""

from __future__ import annotations

from ..declaration import UserDefinedFunctionWrapper, udf
from ..errors import InvalidPlanError
from ..types import DataType, DataTypes
from .expression import Call, Expression, Literal, lit
from .python_functions import json_texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TEXT = DataTypes.STRING()
_ON_NULL = ("null", "absent")
_declared: dict[tuple[str, tuple[DataType, ...]], UserDefinedFunctionWrapper[..., Any]] = {}
_json = udf(json_texts.raw_json, [_TEXT], _TEXT, name="json")

NAMES = frozenset({"json", "json_object", "json_array"})
"""The names, in lower case."""


def resolved(name: str, arguments: tuple[Expression, ...], type_of: Callable[[Expression], DataType]) -> Call:
    """The call of a Python function that makes the text.

    :param arguments: what nulls become, `null` or `absent`, then keys and values, or values alone.
    :param type_of: the type of an expression.
    :raises InvalidPlanError: they are not of these.
    """
    if name == "json":
        if len(arguments) != 1:
            raise InvalidPlanError(f"JSON takes one text, not {len(arguments)} arguments")
        return Call(_json, arguments)
    on_null, *values = arguments or (None,)
    absent = on_null.value if isinstance(on_null, Literal) else None
    if absent not in _ON_NULL:
        hint = "write json_object('null', key, value, ...), or json_object(JsonOnNull.NULL, key, value, ...)"
        raise InvalidPlanError(f"{name.upper()} is told first what nulls become: 'null' or 'absent'", hint=hint)
    if name == "json_object" and len(values) % 2:
        raise InvalidPlanError(f"JSON_OBJECT takes keys and values in turn, not {len(values)} of them")
    types = [
        _TEXT if name == "json_object" and position % 2 == 0 else type_of(value).nullable()
        for position, value in enumerate(values)
    ]
    raw = ",".join(str(position) for position, value in enumerate(values) if _is_json(value))
    return Call(_function(name, types), (lit(f"{absent}:{raw}"), *values))


def _function(name: str, types: list[DataType]) -> UserDefinedFunctionWrapper[..., Any]:
    key = (name, tuple(types))
    if key not in _declared:
        made = json_texts.json_object if name == "json_object" else json_texts.json_array
        _declared[key] = udf(made, [_TEXT, *types], _TEXT.not_null(), name=name)
    return _declared[key]


def _is_json(value: Expression) -> bool:
    """Whether it is a call of one of these functions, which nobody else has declared."""
    return isinstance(value, Call) and any(value.function is known for known in (_json, *_declared.values()))
