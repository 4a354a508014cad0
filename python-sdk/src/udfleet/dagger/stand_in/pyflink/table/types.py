"""Names of `pyflink.table.types`."""

from udfleet import DataType, DataTypes, Row, RowKind

__all__ = ["DataType", "DataTypes", "Row", "RowKind"]
