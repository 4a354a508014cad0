"""Whatever users hold in their hands, as the columns that a function takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from ..errors import InvalidInputError

_SCALARS = (str, bytes, bytearray, dict)


def to_batch(function: str, columns: Sequence[Any], inputs: list[pa.Field] | None, rows: int | None) -> pa.RecordBatch:
    """One batch of the columns, converted to the declared types.

    Lists, tuples and other iterables, numpy arrays, pandas Series and pyarrow arrays are columns; everything else is a
    value for all rows.
    """
    if inputs is not None and len(columns) != len(inputs):
        expected = ", ".join(f"{field.name}: {field.type}" for field in inputs) or "none"
        raise InvalidInputError(
            f"takes {len(inputs)} columns ({expected}), {len(columns)} were given", function=function
        )
    fields = inputs if inputs is not None else [None] * len(columns)
    made = [
        _value(function, index, column, field) if _is_value(column) else _column(function, index, column, field)
        for index, (column, field) in enumerate(zip(columns, fields, strict=True))
    ]
    length = _length(function, made, rows)
    arrays = [pa.repeat(column, length) if isinstance(column, pa.Scalar) else column for column in made]
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * length, pa.struct([])))
    names = [f"arg{index}" if field is None else field.name for index, field in enumerate(fields)]
    schema = pa.schema(
        [
            pa.field(name, array.type, field is None or field.nullable)
            for name, array, field in zip(names, arrays, fields, strict=True)
        ]
    )
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _is_value(column: Any) -> bool:
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        return False
    if isinstance(column, (pa.Scalar, *_SCALARS)) or getattr(column, "ndim", None) == 0:
        return True
    return not (isinstance(column, Iterable) or hasattr(column, "__arrow_c_array__"))


def _length(function: str, made: list[Any], rows: int | None) -> int:
    lengths = {index: len(column) for index, column in enumerate(made) if not isinstance(column, pa.Scalar)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"column {index}: {length}" for index, length in lengths.items())
        raise InvalidInputError(f"the columns differ in length ({told})", function=function)
    given = next(iter(lengths.values()), None)
    if rows is not None and given is not None and rows != given:
        raise InvalidInputError(f"rows={rows}, but the columns have {given}", function=function)
    return given if given is not None else 1 if rows is None else rows


def _value(function: str, index: int, value: Any, field: pa.Field | None) -> pa.Scalar:
    if isinstance(value, pa.Scalar):
        value = pa.array([value.as_py()], value.type)
    elif getattr(value, "ndim", None) == 0:
        value = [value.item()]
    else:
        value = [value]
    return _column(function, index, value, field)[0]


def _column(function: str, index: int, column: Any, field: pa.Field | None) -> pa.Array:
    try:
        array = _array(column, None if field is None else field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        wanted = "an Arrow array" if field is None else f"{field.type}"
        raise InvalidInputError(f"column {index} does not convert to {wanted}: {error}", function=function) from error
    if field is not None and not field.nullable and array.null_count:
        raise InvalidInputError(
            f"column {index} is declared NOT NULL and has {array.null_count} nulls", function=function
        )
    return array


def _array(column: Any, wanted: pa.DataType | None) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        array = column.combine_chunks()
    elif isinstance(column, pa.Array):
        array = column
    else:
        if not hasattr(column, "__len__"):
            column = list(column)
        # Given a type, pyarrow cuts 1.5 down to 1; a checked cast of what it finds by itself does not.
        target = None if wanted is not None and pa.types.is_integer(wanted) else wanted
        array = pa.array(column, target, from_pandas=True if hasattr(column, "iloc") else None)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array if wanted is None or array.type == wanted else array.cast(wanted)
