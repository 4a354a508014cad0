"""What `call` is given, as one batch of the columns that a function takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from .._convert.columns import is_value, to_column, to_untyped, to_value
from .._convert.misfit import MisfitError, shown
from ..errors import InvalidInputError
from ..types.arrow import from_arrow

_MAX_ROWS = 1 << 31
"""Arrow's columns of texts and lists hold no more."""


def to_batch(function: str, columns: Sequence[Any], inputs: list[pa.Field] | None, rows: int | None) -> pa.RecordBatch:
    """One batch of the columns, converted to the declared types by the policy of docs/types.md.

    Lists, tuples and other iterables, numpy arrays, pandas Series and pyarrow arrays are columns; everything else is a
    value for all rows.

    :raises InvalidInputError: naming column, row and value.
    """
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or not 0 <= rows < _MAX_ROWS):
        raise InvalidInputError(
            f"rows={shown(rows)}", function=function, hint=f"give the number of rows, from 0 to {_MAX_ROWS - 1}"
        )
    if inputs is not None and len(columns) != len(inputs):
        expected = ", ".join(f"{field.name}: {field.type}" for field in inputs) or "none"
        raise InvalidInputError(
            f"takes {len(inputs)} columns ({expected}), {len(columns)} were given", function=function
        )
    fields = inputs if inputs is not None else [None] * len(columns)
    made = [_convert(function, *numbered) for numbered in zip(range(len(columns)), columns, fields, strict=True)]
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


def _convert(function: str, index: int, column: Any, field: pa.Field | None) -> pa.Array | pa.Scalar:
    try:
        if field is None:
            return to_untyped([column])[0] if is_value(column) else to_untyped(column)
        declared = from_arrow(field.type, f"column {index}", field.nullable)
        convert = to_value if is_value(column) else to_column
        return convert(column, declared, field.type)
    except MisfitError as misfit:
        wanted = "" if field is None else f" to {declared}"
        raise misfit.as_input_error(f"column {index} does not convert{wanted}", function) from None


def _length(function: str, made: list[Any], rows: int | None) -> int:
    lengths = {index: len(column) for index, column in enumerate(made) if not isinstance(column, pa.Scalar)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"column {index}: {length}" for index, length in lengths.items())
        raise InvalidInputError(f"the columns differ in length ({told})", function=function)
    given = next(iter(lengths.values()), None)
    if rows is not None and given is not None and rows != given:
        raise InvalidInputError(f"rows={rows}, but the columns have {given}", function=function)
    return given if given is not None else 1 if rows is None else rows
