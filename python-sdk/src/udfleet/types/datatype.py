"""One class for every logical type: a root, whether it takes nulls, and its parameters."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

MAX_LENGTH = 2147483647
"""Length of STRING and BYTES."""
TIME_DIGITS = 3
"""Digits of a TIME that is declared without any. Flink calls it TIME(0), but keeps milliseconds of every TIME."""

_LENGTH = frozenset({"CHAR", "VARCHAR", "BINARY", "VARBINARY"})
_PRECISION = frozenset({"TIME", "TIMESTAMP", "TIMESTAMP_LTZ"})
_YEAR_MONTH = frozenset({"YEAR", "MONTH"})
_INTERVALS = {
    "INTERVAL_YEAR_MONTH": ("INTERVAL YEAR TO MONTH", "INTERVAL(DataTypes.YEAR(), DataTypes.MONTH())"),
    "INTERVAL_DAY_TIME": ("INTERVAL DAY TO SECOND", "INTERVAL(DataTypes.DAY(), DataTypes.SECOND())"),
}


def _bounded(root: str, what: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{root}: {what} must be an int, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{root}: {what} must be from {least} to {most}, not {value}")
    return value


def shortened(text: str, most: int = 200) -> str:
    """A text for a `repr`, cut where it is long."""
    return text if len(text) <= most else f"{text[: most - 20]}... {text[-16:]}"


def interval_root(upper: str, lower: str) -> str:
    """The root of an INTERVAL between two units."""
    if (upper in _YEAR_MONTH) != (lower in _YEAR_MONTH):
        raise ValueError(f"INTERVAL {upper} TO {lower}: years and months don't mix with days and times")
    return "INTERVAL_YEAR_MONTH" if upper in _YEAR_MONTH else "INTERVAL_DAY_TIME"


class Field:
    """A named part of a ROW type."""

    __slots__ = ("data_type", "description", "name")

    def __init__(self, name: str, data_type: DataType, description: str | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a field name must be a str, not {name!r}")
        if not isinstance(data_type, DataType):
            raise TypeError(f"field {name!r}: the type must be a DataType, not {data_type!r}")
        self.name = name
        self.data_type = data_type
        self.description = description

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        return (self.name, self.data_type) == (other.name, other.data_type)

    def __hash__(self) -> int:
        return hash((self.name, self.data_type))

    def __repr__(self) -> str:
        return f"DataTypes.FIELD({self.name!r}, {self.data_type!r})"


class DataType:
    """A logical type. Made by `DataTypes`; immutable; equal when all parts are."""

    __slots__ = ("_fields", "_hash", "element", "is_nullable", "key", "length", "precision", "root", "scale")

    def __init__(
        self,
        root: str,
        is_nullable: bool = True,
        *,
        length: int = 0,
        precision: int = 0,
        scale: int = 0,
        element: DataType | None = None,
        key: DataType | None = None,
        fields: Sequence[Field] = (),
    ) -> None:
        if root in _LENGTH:
            _bounded(root, "length", length, 1, MAX_LENGTH)
        elif root == "DECIMAL":
            _bounded(root, "precision", precision, 1, 38)
            _bounded(root, "scale", scale, 0, precision)
        elif root in _PRECISION:
            _bounded(root, "precision", precision, 0, 9)
        for part in (element, key):
            if part is not None and not isinstance(part, DataType):
                raise TypeError(f"{root}: its parts must be DataTypes, not {part!r}")
        names = [field.name for field in fields]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"ROW has two fields named {twice!r}")
        self.root = root
        self.is_nullable = is_nullable
        self.length = length
        self.precision = precision
        self.scale = scale
        self.element = element
        self.key = key
        self._fields = tuple(fields)
        self._hash = hash(self._parts())

    def _parts(self) -> tuple[object, ...]:
        shape = (self.root, self.is_nullable, self.length, self.precision, self.scale)
        return (*shape, self.element, self.key, self._fields)

    def __eq__(self, other: object) -> bool:
        return self._parts() == other._parts() if isinstance(other, DataType) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, self._parts())

    def _with(self, is_nullable: bool) -> DataType:
        return _rebuild(self.root, is_nullable, *self._parts()[2:])

    def nullable(self) -> DataType:
        """The same type, taking nulls."""
        return self._with(True)

    def not_null(self) -> DataType:
        """The same type, refusing nulls."""
        return self._with(False)

    @property
    def fields(self) -> list[Field]:
        """The fields of a ROW; empty for other types. A list of its own: changing it leaves the type as it is."""
        return [*self._fields]

    @property
    def element_type(self) -> DataType | None:
        """The type of an ARRAY's or MULTISET's elements."""
        return self.element if self.root in ("ARRAY", "MULTISET") else None

    @property
    def key_type(self) -> DataType | None:
        """The type of a MAP's keys."""
        return self.key

    @property
    def value_type(self) -> DataType | None:
        """The type of a MAP's values."""
        return self.element if self.root == "MAP" else None

    @property
    def names(self) -> list[str]:
        """The names of a ROW's fields."""
        return [field.name for field in self._row().fields]

    def field_names(self) -> list[str]:
        """The names of a ROW's fields."""
        return self.names

    def field_types(self) -> list[DataType]:
        """The types of a ROW's fields."""
        return [field.data_type for field in self._row().fields]

    def add(self, field: Field | str, data_type: DataType | None = None) -> DataType:
        """A ROW type with a further field, given whole or by name and type. This one stays as it is."""
        if not isinstance(field, Field):
            if data_type is None:
                raise ValueError(f"field {field!r}: add() takes a Field, or a name and a type")
            field = Field(field, data_type)
        return DataType("ROW", self._row().is_nullable, fields=[*self.fields, field])

    def __getitem__(self, key: str | int | slice) -> Any:
        """A field of a ROW, by name or position; of a slice a ROW of these fields."""
        fields = self._row().fields
        if isinstance(key, slice):
            return DataType("ROW", self.is_nullable, fields=fields[key])
        if isinstance(key, str):
            found = next((field for field in fields if field.name == key), None)
            if found is None:
                raise KeyError(f"{self} has no field {key!r}")
            return found
        return fields[key]

    def __iter__(self) -> Iterator[Field]:
        return iter(self._row().fields)

    def __len__(self) -> int:
        return len(self._row().fields)

    def __bool__(self) -> bool:
        return True

    def _row(self) -> DataType:
        if self.root != "ROW":
            raise TypeError(f"{self} has no fields: only ROW has")
        return self

    def to_sql_type(self, value: Any) -> Any:
        """A date, time or span as a number: days of DATE, else microseconds. Other values stay as they are."""
        from .sql_values import to_number

        return to_number(self.root, value)

    def from_sql_type(self, number: Any) -> Any:
        """What `to_sql_type` made a number of; of TIMESTAMP_LTZ a datetime in UTC."""
        from .sql_values import from_number

        return from_number(self.root, number)

    def sql(self) -> str:
        """As SQL text: `ARRAY<BIGINT NOT NULL>`. `DataTypes.parse` reads it back."""
        return self._base() if self.is_nullable else f"{self._base()} NOT NULL"

    __str__ = sql

    def _base(self) -> str:
        root = self.root
        if root in _LENGTH:
            short = {"VARCHAR": "STRING", "VARBINARY": "BYTES"}.get(root)
            return short if short and self.length == MAX_LENGTH else f"{root}({self.length})"
        if root == "DECIMAL":
            return f"DECIMAL({self.precision}, {self.scale})"
        if root in _PRECISION:
            return f"{root}({self.precision})"
        if root in _INTERVALS:
            return _INTERVALS[root][0]
        if root == "ROW":
            return "ROW<" + ", ".join(f"{_identifier(f.name)} {f.data_type.sql()}" for f in self.fields) + ">"
        parts = [part.sql() for part in (self.key, self.element) if part is not None]
        return f"{root}<{', '.join(parts)}>" if parts else root

    def __repr__(self) -> str:
        return f"DataTypes.{self._call()}" + ("" if self.is_nullable else ".not_null()")

    def _call(self) -> str:
        root = self.root
        if root in _LENGTH:
            short = {"VARCHAR": "STRING()", "VARBINARY": "BYTES()"}.get(root)
            return short if short and self.length == MAX_LENGTH else f"{root}({self.length})"
        if root == "DECIMAL":
            return f"DECIMAL({self.precision}, {self.scale})"
        if root in _PRECISION:
            return f"{root}({self.precision})"
        if root in _INTERVALS:
            return _INTERVALS[root][1]
        if root == "ROW":
            return f"ROW([{', '.join(map(repr, self.fields))}])"
        parts = [repr(part) for part in (self.key, self.element) if part is not None]
        return f"{root}({', '.join(parts)})"


def _identifier(name: str) -> str:
    plain = name.isidentifier() and name.isascii()
    return name if plain else "`" + name.replace("`", "``") + "`"


def _rebuild(root: Any, is_nullable: Any, length: Any, precision: Any, scale: Any, *parts: Any) -> DataType:
    element, key, fields = parts
    sizes = {"length": length, "precision": precision, "scale": scale}
    return DataType(root, is_nullable, **sizes, element=element, key=key, fields=fields)


STRING = DataType("VARCHAR", length=MAX_LENGTH)
BYTES = DataType("VARBINARY", length=MAX_LENGTH)
