"""Spark's types for the fleet's, and the Arrow types that Spark expects for its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ..types import DataType

if TYPE_CHECKING:
    from pyspark.sql.types import DataType as SparkType

_NAMES = {
    "NULL": "NullType",
    "BOOLEAN": "BooleanType",
    "TINYINT": "ByteType",
    "SMALLINT": "ShortType",
    "INT": "IntegerType",
    "BIGINT": "LongType",
    "FLOAT": "FloatType",
    "DOUBLE": "DoubleType",
    "CHAR": "StringType",
    "VARCHAR": "StringType",
    "BINARY": "BinaryType",
    "VARBINARY": "BinaryType",
    "DATE": "DateType",
    "TIME": "TimeType",
    "TIMESTAMP": "TimestampNTZType",
    "TIMESTAMP_LTZ": "TimestampType",
    "INTERVAL_DAY_TIME": "DayTimeIntervalType",
}


def spark_type(data_type: DataType) -> SparkType:
    """Spark's type for values of this one."""
    from pyspark.sql import types

    root = data_type.root
    if root == "DECIMAL":
        return types.DecimalType(data_type.precision, data_type.scale)
    if root == "ARRAY" and data_type.element is not None:
        return types.ArrayType(spark_type(data_type.element), data_type.element.is_nullable)
    if root == "MAP" and data_type.key is not None and data_type.element is not None:
        return types.MapType(spark_type(data_type.key), spark_type(data_type.element), data_type.element.is_nullable)
    if root == "MULTISET" and data_type.element is not None:
        return types.MapType(spark_type(data_type.element), types.IntegerType(), valueContainsNull=False)
    if root == "ROW":
        fields = data_type.fields
        return types.StructType(
            [types.StructField(f.name, spark_type(f.data_type), f.data_type.is_nullable) for f in fields]
        )
    made: SparkType = getattr(types, _NAMES[root])()
    return made


def carrier(spark: SparkType) -> pa.DataType:
    """The Arrow type in which Spark sends and takes values of its type."""
    from pyspark.sql.pandas.types import to_arrow_type

    # Of which zone does not matter: all of them say the same point in time.
    return to_arrow_type(spark, timezone="UTC")
