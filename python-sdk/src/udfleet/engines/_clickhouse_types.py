"""The ClickHouse type of each type, for arguments and for results."""

from __future__ import annotations

from ..types import DataType

_SIMPLE = {
    "NULL": "Nothing",
    "CHAR": "String",
    "VARCHAR": "String",
    "BOOLEAN": "Bool",
    "BINARY": "FixedString({0.length})",
    "VARBINARY": "String",
    "TINYINT": "Int8",
    "SMALLINT": "Int16",
    "INT": "Int32",
    "BIGINT": "Int64",
    "FLOAT": "Float32",
    "DOUBLE": "Float64",
    "DECIMAL": "Decimal({0.precision}, {0.scale})",
    "DATE": "Date32",
    "TIME": "Time64({0.precision})",
    # ClickHouse stores instants only: those of UTC have the digits that a time without zone has.
    "TIMESTAMP": "DateTime64({0.precision}, 'UTC')",
    "TIMESTAMP_LTZ": "DateTime64({0.precision})",
    "INTERVAL_DAY_TIME": "IntervalMicrosecond",
}
_NEVER_NULL = frozenset({"ARRAY", "MAP", "MULTISET", "ROW"})


def clickhouse_type(data_type: DataType) -> str:
    """`Array(Nullable(Int64))` for `ARRAY<BIGINT>`."""
    plain = _type(data_type)
    nullable = data_type.root == "NULL" or (data_type.is_nullable and has_nulls(data_type))
    return f"Nullable({plain})" if nullable else plain


def has_nulls(data_type: DataType) -> bool:
    """Whether ClickHouse has nulls of the type at all."""
    return data_type.root not in _NEVER_NULL


def _type(data_type: DataType) -> str:
    root = data_type.root
    if root in _SIMPLE:
        return _SIMPLE[root].format(data_type)
    if root == "ROW":
        parts = (f"{_quoted(field.name)} {clickhouse_type(field.data_type)}" for field in data_type.fields)
        return f"Tuple({', '.join(parts)})"
    if root == "ARRAY" and data_type.element is not None:
        return f"Array({clickhouse_type(data_type.element)})"
    if root == "MAP" and data_type.key is not None and data_type.element is not None:
        return f"Map({clickhouse_type(data_type.key.not_null())}, {clickhouse_type(data_type.element)})"
    if root == "MULTISET" and data_type.element is not None:
        return f"Map({clickhouse_type(data_type.element.not_null())}, Int32)"
    raise ValueError(f"{data_type} has no ClickHouse type")


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
