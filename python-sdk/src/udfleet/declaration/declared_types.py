"""The types that declarations are given. Runs on a bare Python."""

from __future__ import annotations

from ..types import DataType, DataTypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Union

    TypeLike = Union[DataType, str]
    TypesLike = Union[TypeLike, Sequence[TypeLike]]


def one_type(value: Any, what: str) -> DataType:
    """A type from a DataType or SQL text."""
    if isinstance(value, DataType):
        return value
    if isinstance(value, str):
        from ..types.sql import parse

        return parse(value)
    raise TypeError(f"{what} must be a DataType or SQL text, not {value!r}")


def input_types(given: Any) -> list[DataType] | None:
    """Declared input types; None where nothing was declared."""
    if given is None:
        return None
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    return [_without_views(one_type(item, "an input type"), "an input type") for item in listed]


def result_type(given: Any, factory: str) -> DataType:
    """A declared result type."""
    if given is None:
        raise TypeError(f"result_type is missing: {factory}(..., result_type=DataTypes.BIGINT())")
    return _without_views(one_type(given, "result_type"), "result_type")


def result_types(given: Any, what: str = "result_types") -> DataType:
    """Columns of a table: one type, or a ROW; of a list of several types the columns are f0, f1, ..."""
    if given is None:
        raise TypeError(f"{what} is missing: udtf(..., {what}=DataTypes.STRING())")
    if not isinstance(given, (list, tuple)):
        return _without_views(one_type(given, what), what)
    types = [_without_views(one_type(item, "a result type"), "a result type") for item in given]
    if not types:
        raise TypeError(f"{what} names no type: a table function has at least one column")
    return types[0] if len(types) == 1 else DataTypes.ROW(types)


def accumulator_type(given: Any) -> DataType | None:
    """The type of accumulators; views may be its top-level fields."""
    if given is None:
        return None
    found = one_type(given, "accumulator_type")
    if found.root in ("LIST_VIEW", "MAP_VIEW"):
        raise TypeError(f"{found.root}: an accumulator that holds a view must be a ROW with the view as a field")
    for field in found.fields:
        parts = [field.data_type.element, field.data_type.key, *(f.data_type for f in field.data_type.fields)]
        for part in parts if field.data_type.root in ("LIST_VIEW", "MAP_VIEW") else [field.data_type]:
            if part is not None:
                _without_views(part, f"accumulator_type, field {field.name!r}")
    return found


def _without_views(data_type: DataType, what: str) -> DataType:
    if data_type.root in ("LIST_VIEW", "MAP_VIEW"):
        raise TypeError(f"{what}: {data_type.root} is allowed as a top-level field of an accumulator only")
    for part in (data_type.element, data_type.key, *(field.data_type for field in data_type.fields)):
        if part is not None:
            _without_views(part, what)
    return data_type
