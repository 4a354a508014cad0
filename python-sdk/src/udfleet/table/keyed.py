"""Tables by key: what streams through functions with keyed state are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..declaration import UserDefinedFunctionWrapper
from ..errors import InvalidInputError, InvalidPlanError
from . import operators as ops
from .derived import Derived
from .expression import Call, Column
from .plan import aggregates

ROW_KIND = "$row_kind"
"""The last column of rows that are changes of a table, which is no argument: `proto/src/key/mod.rs` has it too."""

if TYPE_CHECKING:
    from ..streams import KeyedStream
    from .table import Table


class KeyedTable:
    """A table whose rows go to functions with the state of their key: made by `Table.key_by`."""

    def __init__(self, table: Table, keys: tuple[str, ...]) -> None:
        self._table = table
        self._keys = keys

    def process(self, call: Any) -> KeyedCall:
        """A call of a registered function with keyed state, of columns: `process("sessions(user, page)")`."""
        expression = ops.one(call)
        if not isinstance(expression, Call) or isinstance(expression.function, UserDefinedFunctionWrapper):
            raise InvalidPlanError(
                "process() takes a call of a registered function", hint='process("sessions(user, page)")'
            )
        columns = [argument.name for argument in expression.arguments if isinstance(argument, Column)]
        if len(columns) != len(expression.arguments):
            raise InvalidPlanError(
                "the arguments of process() are columns", hint="compute them with select() before key_by()"
            )
        for column in columns:
            _check(self._table, column)
        refuse_groups(self._table)
        return KeyedCall(self._table, self._keys, str(expression.function), columns, changes_of(self._table))


class KeyedCall:
    """A call of a function with keyed state: made by `KeyedTable.process`."""

    def __init__(
        self, table: Table, keys: tuple[str, ...], function: str, arguments: list[str], row_kind: str | None = None
    ) -> None:
        self._table = table
        self._keys = keys
        self._function = function
        self._arguments = arguments
        self._row_kind = row_kind

    def open_stream(
        self, stream: str, *, commit: str = "auto", reset: bool = False, retain_results: bool = False
    ) -> KeyedStream:
        """Opens the stream with this id, or opens it again: it goes on with the first row that is not applied.

        The table has to give the same rows in the same order each time. Another process that has the stream is refused
        from then on.

        :param stream: letters, digits and `_-.:`. Its state is that of the function, in all versions that can read it.
        :param commit: "auto": a bundle is committed when the loop asks for the next; "manual": by `bundle.commit()`.
        :param retain_results: the results of each bundle are kept with its commit until the next one. The stream's next
            client that asks for them gets them first, in a bundle that is committed already and has `is_retained`.
        :param reset: begin anew with the first row: what there is of the stream is deleted.
        """
        if commit not in ("auto", "manual"):
            raise InvalidInputError(f"commit is 'auto' or 'manual', not {commit!r}")
        schema = self._columns_of(self._table._arrow_schema())
        return self._table._fleet._open_stream(
            stream,
            self._function,
            len(self._keys),
            schema,
            self._batches,
            commit == "auto",
            bool(reset),
            bool(retain_results),
        )

    def _columns_of(self, schema: pa.Schema) -> pa.Schema:
        keys = [schema.field(name).with_name(f"key {name}") for name in self._keys]
        kinds = [] if self._row_kind is None else [pa.field(ROW_KIND, pa.int8())]
        return pa.schema([*keys, *(schema.field(name) for name in self._arguments), *kinds])

    def _batches(self, first_row: int) -> Iterator[pa.RecordBatch]:
        """Key columns, arguments and what rows do, from a row on."""
        skipped, row = 0, first_row
        for batch in self._table._rows():
            rest = batch.slice(min(batch.num_rows, first_row - skipped))
            skipped += batch.num_rows - rest.num_rows
            if rest.num_rows:
                arrays = [rest.column(name) for name in (*self._keys, *self._arguments)]
                if self._row_kind is not None:
                    arrays.append(_kinds(rest.column(self._row_kind), row))
                yield pa.RecordBatch.from_arrays(arrays, schema=self._columns_of(rest.schema))
                row += rest.num_rows


def _kinds(column: pa.Array, first_row: int) -> pa.Array:
    import pyarrow.compute as pc

    bounds = pc.min_max(column)
    lowest, highest = bounds["min"].as_py(), bounds["max"].as_py()
    if column.null_count or lowest < 0 or highest > 3:
        raise InvalidInputError(
            f"a row from {first_row} on is of no kind",
            hint="0 inserts, 1 and 2 are before and after an update, 3 deletes",
        )
    return column.cast(pa.int8())


def changes_of(table: Table) -> str | None:
    """The column that says what rows do, which the steps must have left in its place."""
    column = table._source.row_kind
    if column is not None and column not in table.columns:
        raise InvalidPlanError(
            f"the table is one of changes, and its steps have left out {column!r}, which says what each row does",
            hint=f"select {column} too",
        )
    return column


def refuse_groups(table: Table) -> None:
    """A stream's rows come one after the other: groups that are computed before it would have to end first.

    :raises InvalidPlanError: there are some, in the table's steps or in what its source is made of.
    """
    if table._steps and aggregates(table._plan()):
        raise InvalidPlanError(
            "the table has groups before those of the stream, which are computed only where rows end",
            hint="make a stream of the inner groups, and another one of its changes: "
            'from_batches(changes, row_kind="row_kind")',
        )
    for before in table._source.tables if isinstance(table._source, Derived) else ():
        refuse_groups(before)


def keys_of(table: Table, names: tuple[Any, ...]) -> tuple[str, ...]:
    """The columns that keys are made of."""
    columns = [item.name for item in ops.items(names) if isinstance(item, Column)]
    if len(columns) != len(ops.items(names)) or not columns:
        raise InvalidPlanError("key_by() takes columns", hint="compute them with select() before")
    for column in columns:
        _check(table, column)
    return tuple(columns)


def _check(table: Table, column: str) -> None:
    if column not in table.columns:
        raise InvalidPlanError(f"the table has no column {column!r}: it has {', '.join(table.columns)}")
