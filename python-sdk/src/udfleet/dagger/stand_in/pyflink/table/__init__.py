"""Names of `pyflink.table`; `udf` is the module here, as it is there."""

from .data_view import ListView, MapView
from .types import DataTypes, Row, RowKind
from .udf import (
    AggregateFunction,
    AsyncScalarFunction,
    FunctionContext,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
)

__all__ = [
    "AggregateFunction",
    "AsyncScalarFunction",
    "DataTypes",
    "FunctionContext",
    "ListView",
    "MapView",
    "Row",
    "RowKind",
    "ScalarFunction",
    "TableAggregateFunction",
    "TableFunction",
]
