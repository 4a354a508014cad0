"""PyFlink's data types. Runs on a bare Python: what needs pyarrow or protobuf is in `arrow` and `wire`."""

from __future__ import annotations

from .datatype import MAX_LENGTH, DataType, Field
from .factories import DataTypes

__all__ = ["MAX_LENGTH", "DataType", "DataTypes", "Field"]
