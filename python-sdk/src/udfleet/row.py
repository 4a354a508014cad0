"""Row: a tuple with optional field names and a kind of change."""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class RowKind(Enum):
    """What a row does to the table that it belongs to."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return ("+I", "-U", "+U", "-D")[self.value]


class Row:
    """Values by position, `Row(1, "a")`, or by name, `Row(id=1, name="a")`.

    `Person = Row("name", "age")` is a template: `Person("Ann", 7)` equals `Row(name="Ann", age=7)`.
    Fields may have any names; one that is named like a method is read as `row["as_dict"]`.
    """

    __slots__ = ("_kind", "_names", "_values")

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("a Row takes either positional or keyword values, not both")
        self._names: tuple[str, ...] | None = tuple(kwargs) if kwargs else None
        self._values: list[Any] = list(kwargs.values()) if kwargs else list(args)
        self._kind = RowKind.INSERT

    def __call__(self, /, *args: Any) -> Row:
        """A row with this template's values as its field names."""
        if len(args) > len(self._values):
            raise ValueError(f"the template has {len(self._values)} fields, {len(args)} values were given")
        row = Row(*args)
        row._kind = self._kind
        row.set_field_names([str(name) for name in self._values[: len(args)]])
        return row

    @staticmethod
    def of_kind(row_kind: RowKind, /, *args: Any, **kwargs: Any) -> Row:
        """A row of that kind of change, its values by position or by name."""
        row = Row(*args, **kwargs)
        row._kind = row_kind
        return row

    def as_dict(self, recursive: bool = False) -> dict[str, Any]:
        """Field names and values; `recursive` converts rows within values too."""
        if self._names is None:
            raise TypeError("a Row without field names has no as_dict()")
        if not recursive:
            return dict(zip(self._names, self._values))
        return {name: _plain(value) for name, value in zip(self._names, self._values)}

    def get_row_kind(self) -> RowKind:
        """The kind of change."""
        return self._kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        """Sets the kind of change."""
        self._kind = row_kind

    def set_field_names(self, field_names: list[str]) -> None:
        """Names the fields, in their order."""
        if len(field_names) != len(self._values):
            raise ValueError(f"{len(field_names)} names for {len(self._values)} values")
        self._names = tuple(field_names)

    def get_fields_by_names(self, names: list[str]) -> list[Any]:
        """The values of the named fields, in the order asked; of a row without names all of its values."""
        return list(self._values) if self._names is None else [self[name] for name in names]

    def _index(self, name: str) -> int:
        if self._names is None or name not in self._names:
            raise ValueError(f"the Row has no field {name!r}")
        return self._names.index(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in Row.__slots__:
            raise AttributeError(name)
        try:
            return self._values[self._index(name)]
        except ValueError as error:
            raise AttributeError(str(error)) from None

    def __getitem__(self, item: Any) -> Any:
        return self._values[self._index(item) if isinstance(item, str) else item]

    def __setitem__(self, item: Any, value: Any) -> None:
        self._values[self._index(item) if isinstance(item, str) else item] = value

    def __contains__(self, item: object) -> bool:
        return item in (self._values if self._names is None else self._names)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _parts(self) -> tuple[object, ...]:
        """What makes rows equal: named values in any order, values without names in theirs."""
        if self._names is None:
            return (None, self._kind, tuple(self._values))
        order = sorted(range(len(self._names)), key=self._names.__getitem__)
        return (tuple(self._names[i] for i in order), self._kind, tuple(self._values[i] for i in order))

    def __eq__(self, other: object) -> bool:
        return self._parts() == other._parts() if isinstance(other, Row) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._parts())

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self._names, self._values, self._kind))

    def __repr__(self) -> str:
        if self._names is None:
            return f"Row({', '.join(map(repr, self._values))})"
        return f"Row({', '.join(f'{name}={value!r}' for name, value in zip(self._names, self._values))})"


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.as_dict(recursive=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _rebuild(names: tuple[str, ...] | None, values: list[Any], kind: RowKind) -> Row:
    row = Row(*values)
    row._names = names
    row._kind = kind
    return row
