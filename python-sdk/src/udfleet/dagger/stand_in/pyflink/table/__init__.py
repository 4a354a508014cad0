"""Names of `pyflink.table`."""

from udfleet import (
    AggregateFunction,
    DataTypes,
    FunctionContext,
    ListView,
    MapView,
    Row,
    RowKind,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
    udaf,
    udf,
    udtaf,
    udtf,
)

__all__ = [
    "AggregateFunction",
    "DataTypes",
    "FunctionContext",
    "ListView",
    "MapView",
    "Row",
    "RowKind",
    "ScalarFunction",
    "TableAggregateFunction",
    "TableFunction",
    "udaf",
    "udf",
    "udtaf",
    "udtf",
]
