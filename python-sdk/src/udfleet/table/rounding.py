"""Decimals of Python values, rounded to the places of the type that is declared for them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from .._convert.misfit import MisfitError
from .._convert.values import row_values
from ..types import DataType

_EXACT = Context(prec=1000)


def rounded_column(values: Sequence[Any], data_type: DataType) -> Sequence[Any]:
    """The values, with at most as many decimal places as the type has, halves away from zero."""
    return [_rounded(value, data_type) for value in values] if _holds_decimals(data_type) else values


def _holds_decimals(data_type: DataType) -> bool:
    parts = [data_type.key, data_type.element, *(field.data_type for field in data_type.fields)]
    return data_type.root == "DECIMAL" or any(part is not None and _holds_decimals(part) for part in parts)


def _rounded(value: Any, data_type: DataType) -> Any:
    """Whatever is not of the type stays as it is: the conversion tells what is wrong with it."""
    if isinstance(value, Decimal):
        return _decimal(value, data_type) if data_type.root == "DECIMAL" else value
    element, key = data_type.element, data_type.key
    if isinstance(value, (list, tuple)) and data_type.root == "ARRAY" and element is not None:
        return [_rounded(item, element) for item in value]
    if isinstance(value, dict) and data_type.root == "MAP" and element is not None and key is not None:
        return {_rounded(name, key): _rounded(item, element) for name, item in value.items()}
    if data_type.root == "ROW" and value is not None:
        try:
            values = row_values(value, data_type)
        except MisfitError:
            return value
        return [_rounded(item, field.data_type) for item, field in zip(values, data_type.fields, strict=True)]
    return value


def _decimal(value: Decimal, data_type: DataType) -> Decimal:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent <= data_type.scale:
        return value
    return value.quantize(Decimal(1).scaleb(-data_type.scale), rounding=ROUND_HALF_UP, context=_EXACT)
