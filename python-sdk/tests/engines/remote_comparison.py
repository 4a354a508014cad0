"""When two servers have given the same answer."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from flight_wire import WireResult
from remote_servers import is_decimal_text

_LARGE = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


def shape(field: pa.Field) -> Any:
    """A field's type, whatever its parts are called. Large texts and bytes are texts and bytes: engines take either."""
    kind, parts = field.type, []
    if pa.types.is_struct(kind):
        parts = [shape(part) for part in kind]
    elif pa.types.is_map(kind):
        parts = [shape(kind.key_field), shape(kind.item_field)]
    elif pa.types.is_list(kind):
        parts = [shape(kind.value_field)]
    name = ("decimal text",) if is_decimal_text(field) else ()
    # It holds no nulls; whether it says so is seen by nobody.
    nullable = field.nullable or field.name == "row"
    return (kind.id if parts else _LARGE.get(kind, kind), nullable, parts, *name)


def shapes(schema: pa.Schema) -> list[Any]:
    return [shape(field) for field in schema]


def _values(value: Any) -> Any:
    """Rows by position."""
    if isinstance(value, dict):
        return tuple(_values(part) for part in value.values())
    return [_values(part) for part in value] if isinstance(value, list) else value


def columns(answer: WireResult) -> list[list[Any]]:
    found = []
    for index, field in enumerate(answer.schema):
        column = answer.table.column(index)
        if pa.types.is_struct(field.type):
            # Structs whose fields share a name can't become dictionaries.
            parts = [[batch.column(index).field(i) for batch in answer.batches] for i in range(field.type.num_fields)]
            nulls = column.is_null().to_pylist()
            rows = zip(*(pa.chunked_array(part, field.type[i].type).to_pylist() for i, part in enumerate(parts)))
            found.append([None if null else row for null, row in zip(nulls, rows)])
        else:
            found.append([_values(value) for value in column.to_pylist()])
    return found


def assert_same(theirs: WireResult, ours: WireResult) -> None:
    assert shapes(ours.schema) == shapes(theirs.schema)
    assert columns(ours) == columns(theirs)
