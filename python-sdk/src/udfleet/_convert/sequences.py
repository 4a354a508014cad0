"""Columns of Python values: by pyarrow where all values have one type for which it is strict, else one by one."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..types import DataType
from ..types.datatype import MAX_LENGTH
from .misfit import MisfitError
from .values import carrier

_NONE = frozenset({type(None)})


def from_values(values: Sequence[Any], data_type: DataType, arrow_type: pa.DataType) -> pa.Array:
    """The column.

    :raises MisfitError: naming the first row whose value does not fit.
    """
    quick = _QUICK.get(data_type.root)
    if quick is not None and set(map(type, values)) - _NONE <= quick[0]:
        try:
            array = quick[1](values, data_type, arrow_type)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            # Which row it is, and what is wrong with it, is told below.
            array = None
        if array is not None and (data_type.is_nullable or not array.null_count):
            return array
    return _one_by_one(values, data_type, arrow_type)


def _one_by_one(values: Sequence[Any], data_type: DataType, arrow_type: pa.DataType) -> pa.Array:
    carried = []
    for row, value in enumerate(values):
        try:
            carried.append(carrier(value, data_type))
        except MisfitError as misfit:  # noqa: PERF203 - which row it is
            raise MisfitError(misfit.complaint, row, value, misfit.hint) from None
    try:
        return pa.array(carried, arrow_type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise MisfitError(f"not {data_type}: {error}") from None


def _as_it_is(values: Sequence[Any], _: DataType, arrow_type: pa.DataType) -> pa.Array:
    return pa.array(values, arrow_type)


def _single(values: Sequence[Any], _: DataType, arrow_type: pa.DataType) -> pa.Array | None:
    exact = pa.array(values, pa.float64())
    nearest = exact.cast(arrow_type, safe=False)
    return nearest if pc.is_inf(nearest).equals(pc.is_inf(exact)) else None


def _text(values: Sequence[Any], data_type: DataType, arrow_type: pa.DataType) -> pa.Array | None:
    array = pa.array(values, arrow_type)
    return array if data_type.length == MAX_LENGTH or _fits(pc.utf8_length(array), data_type) else None


def _bytes(values: Sequence[Any], data_type: DataType, arrow_type: pa.DataType) -> pa.Array | None:
    array = pa.array(values, arrow_type)
    return array if data_type.length == MAX_LENGTH or _fits(pc.binary_length(array), data_type) else None


def _fits(lengths: pa.Array, data_type: DataType) -> bool:
    bounds = pc.min_max(lengths).as_py()
    if bounds["max"] is None:
        return True
    exact = data_type.root in ("CHAR", "BINARY")
    return bool(bounds["max"] <= data_type.length and (not exact or bounds["min"] >= data_type.length))


def _timestamp(values: Sequence[Any], data_type: DataType, arrow_type: pa.DataType) -> pa.Array | None:
    zoned = data_type.root == "TIMESTAMP_LTZ"
    if data_type.precision not in (0, 3, 6) or any(v is not None and (v.tzinfo is not None) != zoned for v in values):
        return None
    # A checked cast, where pyarrow's own conversion of values cuts.
    return pa.array(values, pa.timestamp("us", arrow_type.tz)).cast(arrow_type)


def _array(values: Sequence[Any], data_type: DataType, arrow_type: pa.DataType) -> pa.Array | None:
    element = data_type.element
    if element is None:
        return None
    items = list(itertools.chain.from_iterable(value for value in values if value is not None))
    try:
        child = from_values(items, element, arrow_type.value_type)
    except MisfitError:
        return None
    ends = itertools.accumulate((0 if value is None else len(value) for value in values), initial=0)
    offsets = pa.array(list(ends), pa.int32())
    missing = [value is None for value in values]
    mask = pa.array(missing, pa.bool_()) if any(missing) else None
    return pa.ListArray.from_arrays(offsets, child, type=arrow_type, mask=mask)


_QUICK: dict[str, tuple[frozenset[type], Callable[[Sequence[Any], DataType, pa.DataType], pa.Array | None]]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT"), (frozenset({int}), _as_it_is)),
    "DOUBLE": (frozenset({float, int}), _as_it_is),
    "FLOAT": (frozenset({float}), _single),
    "BOOLEAN": (frozenset({bool}), _as_it_is),
    **dict.fromkeys(("CHAR", "VARCHAR"), (frozenset({str}), _text)),
    **dict.fromkeys(("BINARY", "VARBINARY"), (frozenset({bytes}), _bytes)),
    "DECIMAL": (frozenset({Decimal}), _as_it_is),
    "DATE": (frozenset({datetime.date}), _as_it_is),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_LTZ"), (frozenset({datetime.datetime}), _timestamp)),
    "ARRAY": (frozenset({list}), _array),
}
"""By the root of a type: the types of values for which pyarrow is strict, and how it is asked."""
