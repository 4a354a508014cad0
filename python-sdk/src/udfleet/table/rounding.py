"""Decimals of Python values, rounded to the places of the type that is declared for them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from .._convert.misfit import MisfitError, shown
from .._convert.values import row_values
from ..types import DataType

_EXACT = Context(prec=1000)


def rounded_column(values: Sequence[Any], data_type: DataType) -> Sequence[Any]:
    """The values, with at most as many decimal places as the type has, halves away from zero.

    :raises MisfitError: one can't be rounded, or keys of a MAP are the same then.
    """
    if not _holds_decimals(data_type):
        return values
    return [_rounded_at(row, value, data_type) for row, value in enumerate(values)]


def _rounded_at(row: int, value: Any, data_type: DataType) -> Any:
    try:
        return _rounded(value, data_type)
    except MisfitError as misfit:
        raise MisfitError(misfit.complaint, row, value) from None


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
        entries = {_hashable(_rounded(name, key)): _rounded(item, element) for name, item in value.items()}
        if len(entries) < len(value):
            raise MisfitError(f"two keys are the same when they are rounded: {shown(value):.100} for {data_type}")
        return entries
    if isinstance(value, dict) and data_type.root == "MULTISET" and element is not None:
        return _multiset(value, element)
    if data_type.root == "ROW" and value is not None:
        try:
            values = row_values(value, data_type)
        except MisfitError:
            return value
        return [_rounded(item, field.data_type) for item, field in zip(values, data_type.fields, strict=True)]
    return value


def _multiset(value: dict[Any, Any], element: DataType) -> dict[Any, Any]:
    """Elements that are the same when they are rounded are counted together."""
    if not all(type(count) is int for count in value.values()):
        return value
    counts: dict[Any, int] = {}
    for item, count in value.items():
        rounded = _hashable(_rounded(item, element))
        counts[rounded] = counts.get(rounded, 0) + count
    return counts


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _decimal(value: Decimal, data_type: DataType) -> Decimal:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent <= data_type.scale:
        return value
    try:
        return value.quantize(Decimal(1).scaleb(-data_type.scale), rounding=ROUND_HALF_UP, context=_EXACT)
    except InvalidOperation:
        raise MisfitError(f"too many digits: {shown(value):.100} for {data_type}") from None
