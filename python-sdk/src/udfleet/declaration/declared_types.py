"""The types that declarations are given, or that annotations say. Runs on a bare Python."""

from __future__ import annotations

from ..types import DataType, DataTypes
from ..types.coerce import data_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Union

    from ..types.coerce import TypeLike

    TypesLike = Union[TypeLike, Sequence[TypeLike]]

_VIEWS = ("LIST_VIEW", "MAP_VIEW")


def input_types(given: Any, func: Any, lenient: bool) -> list[DataType] | None:
    """Declared input types, else those of annotations; None where any columns are taken."""
    if given is None:
        from .annotations import annotated_inputs

        return annotated_inputs(func, lenient)
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    return [_without_views(data_type(item, "an input type"), "an input type") for item in listed]


def result_type(given: Any, func: Any, factory: str) -> DataType:
    """The declared result type, else the annotated one."""
    if given is None:
        return _annotated(func, factory, "result_type")
    return _without_views(data_type(given, "result_type"), "result_type")


def result_types(given: Any, func: Any, factory: str, what: str = "result_types") -> DataType:
    """Columns of a table: one type, or a ROW; of a list of several types the columns are f0, f1, ..."""
    if given is None:
        return _annotated(func, factory, what, of_rows=True)
    if not isinstance(given, (list, tuple)):
        return _without_views(data_type(given, what), what)
    types = [_without_views(data_type(item, "a result type"), "a result type") for item in given]
    if not types:
        raise TypeError(f"{what} names no type: a table function has at least one column")
    return types[0] if len(types) == 1 else DataTypes.ROW(types)


def _annotated(func: Any, factory: str, what: str, of_rows: bool = False) -> DataType:
    from .annotations import annotated_result

    found = annotated_result(func, of_rows)
    if found is None:
        example = f"{factory}(..., {what}=DataTypes.{'STRING' if of_rows else 'BIGINT'}())"
        raise TypeError(f"{what} is missing, and no return annotation says it: {example}")
    return found


def accumulator_type(given: Any) -> DataType | None:
    """The type of accumulators; views may be its top-level fields."""
    if given is None:
        return None
    found = data_type(given, "accumulator_type")
    if found.root in _VIEWS:
        raise TypeError(f"{found.root}: an accumulator that holds a view must be a ROW with the view as a field")
    for field in found.fields:
        parts = [field.data_type.element, field.data_type.key, *(f.data_type for f in field.data_type.fields)]
        for part in parts if field.data_type.root in _VIEWS else [field.data_type]:
            if part is not None:
                _without_views(part, f"accumulator_type, field {field.name!r}")
    return found


def _without_views(found: DataType, what: str) -> DataType:
    if found.root in _VIEWS:
        raise TypeError(f"{what}: {found.root} is allowed as a top-level field of an accumulator only")
    for part in (found.element, found.key, *(field.data_type for field in found.fields)):
        if part is not None:
            _without_views(part, what)
    return found
