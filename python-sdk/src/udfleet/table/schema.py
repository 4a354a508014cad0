"""`TableSchema`: the columns of a table, as PyFlink shows them."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import DataType, Field


class TableSchema:
    """Names and types of a table's columns, in order."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)

    def get_field_names(self) -> list[str]:
        """The names."""
        return [field.name for field in self._fields]

    def get_field_data_types(self) -> list[DataType]:
        """The types."""
        return [field.data_type for field in self._fields]

    def get_field_count(self) -> int:
        """How many columns."""
        return len(self._fields)

    def get_field_name(self, index: int) -> str | None:
        """The name at a position; None: there is no such column."""
        return self._fields[index].name if 0 <= index < len(self._fields) else None

    def get_field_data_type(self, field: int | str) -> DataType | None:
        """The type of the column of that name or position; None: there is no such column."""
        if isinstance(field, int):
            return self._fields[field].data_type if 0 <= field < len(self._fields) else None
        return next((each.data_type for each in self._fields if each.name == field), None)

    def to_row_data_type(self) -> DataType:
        """The columns as a ROW type, NOT NULL: rows are there."""
        return DataType("ROW", False, fields=self._fields)

    def __eq__(self, other: object) -> bool:
        return self._fields == other._fields if isinstance(other, TableSchema) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return "\n".join(["root", *(f" |-- {field.name}: {field.data_type}" for field in self._fields)])

    def summary(self) -> str:
        """As Flink's `Table.printSchema` shows it."""
        lines = [f"  `{field.name}` {field.data_type}" for field in self._fields]
        return "(\n" + ",\n".join(lines) + "\n)"
