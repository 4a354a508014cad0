"""Where a table's rows come from: Python values, Arrow, pandas, or batches as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from .._convert.arrow import fit
from .._convert.columns import to_column, to_untyped
from .._convert.misfit import MisfitError
from .._convert.sequences import from_values
from .._convert.values import has_attributes, row_values
from ..errors import InvalidInputError
from ..types import DataType, DataTypes, Field
from ..types.arrow import from_arrow, to_arrow, to_arrow_field
from .infer import infer
from .rounding import rounded_column

BATCH_ROWS = 65_536
"""The most rows per batch of sources that are not cut into batches already."""
BATCH_BYTES = 8 << 20
"""About the most bytes of such a batch."""


class Source:
    """Columns, and batches of them."""

    def __init__(
        self,
        fields: Sequence[Field],
        batches: Callable[[], Iterable[pa.RecordBatch]],
        rows: int | None = None,
        replayable: bool = True,
    ) -> None:
        self.fields = list(fields)
        _unique([field.name for field in fields])
        self.schema = pa.schema([to_arrow_field(field.name, field.data_type) for field in fields])
        self.rows = rows
        self.replayable = replayable
        """Whether the batches can be given once more."""
        self.row_kind: str | None = None
        """The column that says what rows do to the table whose changes they are."""
        self._batches = batches
        self._taken = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches, in the types of the columns; an empty one where there is none."""
        if self._taken and not self.replayable:
            raise InvalidInputError("the batches of this table were used up by its first run", hint=_ONCE)
        self._taken = True
        count = 0
        for batch in self._batches():
            yield self._fitting(batch)
            count += 1
        if not count:
            arrays = [pa.array([], field.type) for field in self.schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _fitting(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not isinstance(batch, pa.RecordBatch):
            raise _no_batch(batch)
        if batch.schema.equals(self.schema):
            return batch
        if len(batch.schema) != len(self.schema):
            raise InvalidInputError(f"a batch has {len(batch.schema)} columns, the table has {len(self.schema)}")
        arrays = [_column(column, field, fit) for column, field in zip(batch.columns, self.fields, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _no_batch(value: Any) -> InvalidInputError:
    return InvalidInputError(f"from_batches() takes RecordBatches, not {type(value).__name__}")


_ONCE = "give a list, a Table, or a function that makes the iterator anew"


def _batches(table: pa.Table) -> list[pa.RecordBatch]:
    row_bytes = table.nbytes // table.num_rows + 1 if table.num_rows else 1
    return list(table.to_batches(max(1, min(BATCH_ROWS, BATCH_BYTES // row_bytes))))


def _unique(names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"two columns are named {twice!r}", hint="rename one of them")


def _column(values: Any, field: Field, convert: Callable[..., pa.Array]) -> pa.Array:
    try:
        return convert(values, field.data_type, to_arrow(field.data_type))
    except MisfitError as misfit:
        raise misfit.as_input_error(f"column {field.name!r}") from None


def declared_fields(schema: Any) -> list[Field] | list[str] | None:
    """A schema as users give it: names, a ROW type, SQL text, fields, or types."""
    if schema is None:
        return None
    try:
        return _declared(schema)
    except InvalidInputError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the schema is none: {error}", hint='"a, b", ["a", "b"] or "ROW<a INT, b STRING>"'
        ) from None


def _declared(schema: Any) -> list[Field] | list[str]:
    if isinstance(schema, pa.Schema):
        return [Field(f.name, from_arrow(f.type, f"column {f.name!r}", f.nullable)) for f in schema]
    if isinstance(schema, str) and "<" in schema:
        schema = DataTypes.parse(schema)
    if isinstance(schema, str):
        from .parser import parse_names

        return parse_names(schema)
    if isinstance(schema, DataType):
        return list(schema.fields) if schema.root == "ROW" else [Field("f0", schema)]
    listed = list(schema)
    if listed and all(isinstance(item, str) for item in listed):
        return [str(item) for item in listed]
    return list(DataTypes.ROW(listed).fields)


def from_elements(elements: Iterable[Any], schema: Any = None) -> Source:
    """Rows as tuples, lists, Rows or dicts; single values are rows of one column.

    Decimals are rounded to the places that a schema declares, as in PyFlink; all else has to fit.
    """
    given = declared_fields(schema)
    _check_iterable(elements, "from_elements() takes a list of rows")
    rows = [_as_row(element, own_names=given is None) for element in elements]
    fields, rows = _typed(rows, given)
    _unique([field.name for field in fields])
    row_type = DataTypes.ROW(fields)
    columns: list[list[Any]] = [[] for _ in fields]
    for index, row in enumerate(rows):
        try:
            values = row_values(row, row_type)
        except MisfitError as misfit:
            raise MisfitError(misfit.complaint, index, row).as_input_error("the row") from None
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    if given and isinstance(given[0], Field):
        columns = [_rounded(column, field) for column, field in zip(columns, fields, strict=True)]
    arrays = [_column(column, field, from_values) for column, field in zip(columns, fields, strict=True)]
    arrow = pa.schema([to_arrow_field(field.name, field.data_type) for field in fields])
    table = pa.Table.from_arrays(arrays, schema=arrow)
    return Source(fields, lambda: _batches(table), len(rows))


def _rounded(column: list[Any], field: Field) -> list[Any]:
    try:
        return list(rounded_column(column, field.data_type))
    except MisfitError as misfit:
        raise misfit.as_input_error(f"column {field.name!r}") from None


def _as_row(element: Any, own_names: bool) -> Any:
    """A row as what holds its values: a tuple, list, Row, or a dict, which objects with attributes become too."""
    if own_names and isinstance(element, tuple) and hasattr(element, "_fields"):
        return dict(zip(element._fields, element, strict=True))
    if isinstance(element, (tuple, list, dict)) or hasattr(element, "as_dict"):
        return element
    return dict(vars(element)) if has_attributes(element) else (element,)


def _typed(rows: list[Any], given: list[Field] | list[str] | None) -> tuple[list[Field], list[Any]]:
    """The columns, and the rows with all of them."""
    fields = [field for field in given or () if isinstance(field, Field)]
    if fields:
        return fields, rows
    names = [name for name in given or () if isinstance(name, str)]
    if not rows and not names:
        raise InvalidInputError("a table without rows needs a schema")
    found, rows = _named(rows, names)
    for index, row in enumerate(rows):
        if len(row) != len(found):
            raise InvalidInputError(f"row {index} has {len(row)} values, the schema has {len(found)} columns")
    columns = [
        infer([row[name] if isinstance(row, dict) else row[index] for row in rows], f"column {name!r}")
        for index, name in enumerate(found)
    ]
    return [Field(name, data_type) for name, data_type in zip(found, columns, strict=True)], rows


def _named(rows: list[Any], names: list[str]) -> tuple[list[str], list[Any]]:
    """Names of columns: those given, then the rows' own, then `_1`, `_2`, ...; what a dict lacks is null."""
    if rows and all(isinstance(row, dict) for row in rows):
        keys = list(dict.fromkeys(key for row in rows for key in row))
        unknown = next((name for name in names if name not in keys), None)
        if unknown is not None:
            raise InvalidInputError(f"the schema names a column {unknown!r}, the rows have {', '.join(map(str, keys))}")
        found = [*names, *(key for key in keys if key not in names)]
        return found, [{name: row.get(name) for name in found} for row in rows]
    first = rows[0] if rows else ()
    own = list(getattr(first, "_names", None) or ()) or [f"_{index}" for index in range(1, len(first) + 1)]
    return [*names, *own[len(names) :]] if rows else names, rows


def from_table(table: pa.Table | pa.RecordBatch) -> Source:
    """An Arrow table or batch."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if not isinstance(table, pa.Table):
        table = _exported(table)
    fields = [Field(f.name, from_arrow(f.type, f"column {f.name!r}", f.nullable)) for f in table.schema]
    return Source(fields, lambda: _batches(table), table.num_rows)


def _exported(table: Any) -> pa.Table:
    try:
        if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
            return pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInputError(f"from_arrow(): {type(table).__name__} is no table: {error}") from None
    raise InvalidInputError(
        f"from_arrow() takes an Arrow table, not {type(table).__name__}",
        hint="from_elements() takes Python values, from_pandas() DataFrames",
    )


def _check_iterable(value: Any, wanted: str) -> None:
    try:
        iter(value)
    except TypeError:
        raise InvalidInputError(f"{wanted}, not {type(value).__name__}") from None


def from_pandas(frame: Any, schema: Any = None) -> Source:
    """A DataFrame; its index is left out. NaN is null."""
    if not hasattr(frame, "iloc") or getattr(frame, "ndim", None) != 2:
        raise InvalidInputError(
            f"from_pandas() takes a DataFrame, not {type(frame).__name__}", hint="from_elements() takes Python values"
        )
    given = declared_fields(schema)
    columns = [frame.iloc[:, index] for index in range(frame.shape[1])]
    names = [str(label) for label in frame.columns] if given is None else [_name(field) for field in given]
    if len(names) != len(columns):
        raise InvalidInputError(f"the schema has {len(names)} columns, the data has {len(columns)}")
    _unique(names)
    types = [each.data_type if isinstance(each, Field) else None for each in given or [None] * len(names)]
    made = [_pandas_column(*each) for each in zip(names, columns, types, strict=True)]
    fields = [field for field, _ in made]
    arrow = pa.schema([to_arrow_field(field.name, field.data_type) for field in fields])
    table = pa.Table.from_arrays([array for _, array in made], schema=arrow)
    return Source(fields, lambda: _batches(table), len(frame))


def _name(field: Field | str) -> str:
    return field.name if isinstance(field, Field) else field


def _pandas_column(name: str, column: Any, data_type: DataType | None) -> tuple[Field, pa.Array]:
    if data_type is None:
        try:
            found = to_untyped(column)
        except MisfitError as misfit:
            misfit.hint = misfit.hint or "give a schema, or make all values of the column one type"
            raise misfit.as_input_error(f"column {name!r}") from None
        field = Field(name, from_arrow(found.type, f"column {name!r}"))
        return field, _column(found, field, fit)
    field = Field(name, data_type)
    return field, _column(column, field, to_column)


_KINDS = frozenset({"TINYINT", "SMALLINT", "INT", "BIGINT"})


def from_batches(batches: Any, schema: Any = None, row_kind: str | None = None) -> Source:
    """RecordBatches: a list, a reader, an iterator (used once), or a function that makes an iterator."""
    source = _from_batches(batches, schema)
    if row_kind is not None:
        roots = [field.data_type.root for field in source.fields if field.name == row_kind]
        if not roots or roots[0] not in _KINDS:
            raise InvalidInputError(
                f"row_kind names a column of whole numbers, and {row_kind!r} is none",
                hint="0 inserts, 1 and 2 are the rows before and after an update, 3 deletes",
            )
        source.row_kind = row_kind
    return source


def _from_batches(batches: Any, schema: Any) -> Source:
    given = declared_fields(schema if schema is not None else getattr(batches, "schema", None))
    if isinstance(batches, pa.RecordBatch):
        batches = [batches]
    listed = isinstance(batches, (list, tuple))
    if not callable(batches):
        _check_iterable(batches, "from_batches() takes RecordBatches")
    make: Callable[[], Iterable[pa.RecordBatch]] = batches if callable(batches) else lambda: batches
    if given is None or (given and isinstance(given[0], str)):
        first = next(iter(make()), None) if listed or callable(batches) else None
        if first is not None and not isinstance(first, pa.RecordBatch):
            raise _no_batch(first)
        if first is None:
            raise InvalidInputError("from_batches() needs a schema: the first batch is not known yet")
        found = [Field(f.name, from_arrow(f.type, f"column {f.name!r}", f.nullable)) for f in first.schema]
        source = Source(found, make)
        source = source if given is None else _renamed(source, given)
    else:
        source = Source([field for field in given if isinstance(field, Field)], make)
    source.replayable = listed or callable(batches)
    source.rows = sum(batch.num_rows for batch in batches if isinstance(batch, pa.RecordBatch)) if listed else None
    return source


def _renamed(source: Source, given: list[Field] | list[str] | None) -> Source:
    given = given or []
    if len(given) != len(source.fields):
        raise InvalidInputError(f"the schema has {len(given)} columns, the data has {len(source.fields)}")
    fields = [
        new if isinstance(new, Field) else Field(str(new), old.data_type)
        for new, old in zip(given, source.fields, strict=True)
    ]
    return Source(fields, source._batches, source.rows, source.replayable)
