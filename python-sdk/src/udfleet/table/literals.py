"""The types of Python values, as literals have them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from .._convert.misfit import MisfitError
from .._convert.values import plain
from ..types import DataType, DataTypes
from ..types.coerce import data_type as as_data_type
from .expression import Literal

_INT = 1 << 31
_BIGINT = 1 << 63


def literal(value: Any, data_type: Any = None) -> Literal:
    """A literal of the given type, or of the narrowest that its value has.

    :raises TypeError: there are no literals of such values.
    :raises ValueError: the value does not fit the type.
    """
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    found = type_of(value)
    if data_type is None:
        return Literal(value, found)
    wanted = as_data_type(data_type, "lit()")
    if value is None:
        return Literal(None, wanted)
    try:
        return Literal(plain(value, wanted), wanted)
    except MisfitError as misfit:
        raise misfit.as_input_error("lit()") from None


def type_of(value: Any) -> DataType:
    """The type of a literal; of integers the narrowest of INT, BIGINT and DECIMAL(38, 0)."""
    if value is None:
        return DataTypes.NULL()
    if isinstance(value, bool):
        return DataTypes.BOOLEAN(False)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return DataTypes.DOUBLE(False)
    if isinstance(value, str):
        return DataTypes.STRING(False)
    if isinstance(value, (bytes, bytearray)):
        return DataTypes.BYTES(False)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime.datetime):
        return DataTypes.TIMESTAMP(6, False) if value.tzinfo is None else DataTypes.TIMESTAMP_LTZ(6, False)
    if isinstance(value, datetime.date):
        return DataTypes.DATE(False)
    if isinstance(value, datetime.time):
        return DataTypes.TIME(6, False)
    if isinstance(value, datetime.timedelta):
        return DataType("INTERVAL_DAY_TIME", False)
    raise TypeError(f"{value!r} can't be a literal: numbers, text, bytes, dates, times and None can")


def _integer(value: int) -> DataType:
    if -_INT <= value < _INT:
        return DataTypes.INT(False)
    if -_BIGINT <= value < _BIGINT:
        return DataTypes.BIGINT(False)
    if abs(value) < 10**38:
        return DataTypes.DECIMAL(38, 0, False)
    raise ValueError(f"{value} has more than 38 digits")


def _decimal(value: Decimal) -> DataType:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is no number that DECIMAL holds")
    scale = max(0, -exponent)
    precision = max(len(digits) + max(0, exponent), scale, 1)
    if precision > 38:
        raise ValueError(f"{value} has more than 38 digits")
    return DataTypes.DECIMAL(precision, scale, False)
