"""Columns as users hold them: lists, numpy arrays, pandas Series and DataFrames, Arrow arrays and what exports such."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from ..row import Row
from ..types import DataType
from ..types.arrow import from_arrow, to_arrow
from .arrow import fit
from .misfit import MisfitError
from .sequences import from_values

_FAILURES = (pa.ArrowException, OverflowError, TypeError, ValueError, KeyError, AttributeError)
_VALUES = (str, bytes, bytearray, memoryview, dict, Row, DataType, pa.Scalar)


def is_value(column: Any) -> bool:
    """Whether it is one value for all rows, and no column."""
    if isinstance(column, (pa.Array, pa.ChunkedArray)) or _is_frame(column):
        return False
    if isinstance(column, _VALUES) or getattr(column, "ndim", None) == 0:
        return True
    return not (isinstance(column, Iterable) or hasattr(column, "__arrow_c_array__"))


def to_column(column: Any, data_type: DataType, arrow_type: pa.DataType | None = None) -> pa.Array:
    """A column of the declared type.

    :raises MisfitError: it is no column, or a value does not fit: with its row.
    """
    arrow_type = to_arrow(data_type) if arrow_type is None else arrow_type
    if _is_frame(column):
        return _frame(column, data_type, arrow_type)
    if hasattr(column, "iloc"):
        return _series(column, data_type, arrow_type)
    if not isinstance(column, (list, tuple)):
        exported = _exported(column)
        if exported is not None:
            return fit(exported, data_type, arrow_type, numpy=type(column).__module__ == "numpy")
    return from_values(column if isinstance(column, (list, tuple)) else _listed(column), data_type, arrow_type)


def to_value(value: Any, data_type: DataType, arrow_type: pa.DataType) -> pa.Scalar:
    """A value of the declared type. Of an Arrow scalar, in its own Arrow type."""
    if isinstance(value, pa.Scalar):
        return fit(pa.repeat(value, 1), data_type, arrow_type)[0]
    if getattr(value, "ndim", None) == 0 and isinstance(getattr(value, "shape", None), tuple) and not _is_scalar(value):
        value = value[()]
    return from_values([value], data_type, arrow_type)[0]


def _is_scalar(value: Any) -> bool:
    """Whether it is one of numpy's scalars, not an array of no dimensions."""
    return not hasattr(value, "__array_finalize__") or not hasattr(value, "__setitem__")


def to_untyped(column: Any) -> pa.Array:
    """A column of whatever type holds all its values."""
    if _is_frame(column):
        raise MisfitError("a table, not a column", hint=_COLUMNS_OF)
    exported = None if isinstance(column, (list, tuple)) else _exported(column)
    if exported is None and hasattr(column, "iloc"):
        exported = _guarded(lambda: pa.array(column, from_pandas=True))
    if exported is None:
        values = column if isinstance(column, (list, tuple)) else _listed(column)
        exported = _inferred(values)
    return exported.combine_chunks() if isinstance(exported, pa.ChunkedArray) else exported


def _inferred(values: Any) -> pa.Array:
    rows = any(isinstance(value, Row) for value in values)
    found = _guarded(lambda: pa.array([v.as_dict() if isinstance(v, Row) else v for v in values] if rows else values))
    if not pa.types.is_nested(found.type):
        return found
    # pyarrow leaves null what some of the values have no field for.
    return from_values(values, from_arrow(found.type, "the column"), found.type)


_COLUMNS_OF = "pass its columns, one for each argument: *(frame[name] for name in frame)"


def _is_frame(column: Any) -> bool:
    """A table of pandas, pyarrow or Polars."""
    return isinstance(column, (pa.Table, pa.RecordBatch)) or (
        getattr(column, "ndim", None) == 2 and hasattr(column, "iloc")
    ) or (hasattr(column, "get_columns") and hasattr(column, "height"))  # fmt: skip


def _frame(frame: Any, data_type: DataType, arrow_type: pa.DataType) -> pa.Array:
    names = [str(name) for name in getattr(frame, "column_names", getattr(frame, "columns", ()))]
    if isinstance(frame, pa.RecordBatch):
        names = frame.schema.names
    wanted = [field.name for field in data_type.fields]
    if data_type.root != "ROW" or sorted(names) != sorted(wanted):
        raise MisfitError(f"a table of the columns {', '.join(names)} for {data_type}", hint=_COLUMNS_OF)
    parts = [
        to_column(frame[field.name], field.data_type, arrow_type.field(index).type)
        for index, field in enumerate(data_type.fields)
    ]
    return pa.StructArray.from_arrays(parts, fields=[arrow_type.field(index) for index in range(len(parts))])


def _series(series: Any, data_type: DataType, arrow_type: pa.DataType) -> pa.Array:
    """pandas: what it takes for missing is null."""
    if getattr(series.dtype, "kind", "") == "O" and str(series.dtype) in ("object", "str"):
        missing = series.isna()
        values = [None if absent else value for value, absent in zip(series.tolist(), missing.tolist(), strict=True)]
        return from_values(values, data_type, arrow_type)
    return fit(_guarded(lambda: pa.array(series, from_pandas=True)), data_type, arrow_type, numpy=True)


def _exported(column: Any) -> pa.Array | pa.ChunkedArray | None:
    """As Arrow, where the values lie in memory as Arrow has them."""
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        return column
    if hasattr(column, "__arrow_c_stream__"):
        return _guarded(lambda: pa.chunked_array(column))
    if hasattr(column, "__arrow_c_array__"):
        return _guarded(lambda: pa.array(column))
    kind = getattr(getattr(column, "dtype", None), "kind", "")
    if kind and kind in "biufMm" and getattr(column, "ndim", None) == 1 and type(column).__module__ == "numpy":
        return _guarded(lambda: pa.array(_seconds(column)))
    return None


def _seconds(column: Any) -> Any:
    """Arrow has no coarser units than seconds, except days."""
    unit = column.dtype.str.partition("[")[2].rstrip("]")
    if column.dtype.kind == "M" and (unit in ("Y", "M", "W", "D", "h", "m")):
        return column.astype("datetime64[s]")
    if column.dtype.kind == "m" and unit in ("W", "D", "h", "m"):
        return column.astype("timedelta64[s]")
    return column


def _listed(column: Any) -> list[Any]:
    if isinstance(column, _VALUES) or not isinstance(column, Iterable):
        raise MisfitError(f"{type(column).__name__} is no column", hint="give a list, an array or a Series")
    return list(column)


def _guarded(make: Any) -> Any:
    try:
        return make()
    except _FAILURES as error:
        raise MisfitError(f"no Arrow type holds its values: {error}") from None
