"""Tables that begin where others end: ordered, limited, or one behind the other.

Rows of a table's results are handed to what follows by the client that asks for them: order is a matter of one stream,
which a fleet spreads. Limits and unions hold a batch at a time; ordering holds the rows that are asked for, all of them
where no limit follows, in memory that is bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from ..errors import InvalidPlanError, LimitExceededError
from ..types import Field
from ..types.arrow import to_arrow_field
from .ordering import SortKey, sorted_table

if TYPE_CHECKING:
    from .table import Table

MAX_ORDERED_BYTES = 4 << 30
"""The most memory of rows that are ordered."""
_ORDERED_AT_ONCE = 100_000
"""Rows that come before those that a limit leaves out are let go of."""


class Derived(ABC):
    """Rows of other tables' results, as a source."""

    rows: int | None = None
    """How many; None: unknown before it has run."""

    @property
    @abstractmethod
    def fields(self) -> list[Field]:
        """The columns. Asks the fleet once, where a table's steps have to be looked at."""

    @property
    @abstractmethod
    def replayable(self) -> bool:
        """Whether the batches can be given once more."""

    def batches(self, on_error: str | None = None) -> Iterator[pa.RecordBatch]:
        """The rows, for which the tables run now; an empty batch where there are none."""
        some = False
        for batch in self._rows(on_error):
            some = True
            yield batch
        if not some:
            schema = self._schema()
            yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)

    def _schema(self) -> pa.Schema:
        return pa.schema([to_arrow_field(field.name, field.data_type) for field in self.fields])

    @property
    @abstractmethod
    def tables(self) -> tuple[Table, ...]:
        """Those whose rows they are."""

    @property
    @abstractmethod
    def row_kind(self) -> str | None:
        """The column that says what rows do to the table whose changes they are."""

    @abstractmethod
    def _rows(self, on_error: str | None) -> Iterator[pa.RecordBatch]:
        pass

    def first(self, most: int | None, on_error: str | None) -> Iterator[pa.RecordBatch]:
        """The rows, of which no more than so many are asked for; None: all."""
        return self._rows(on_error)

    @abstractmethod
    def explain(self) -> str:
        """What happens here, as text."""


class _OfOne(Derived):
    def __init__(self, table: Table) -> None:
        self._table = table

    @cached_property
    def fields(self) -> list[Field]:
        """The columns."""
        return self._table._fields()

    @property
    def replayable(self) -> bool:
        """As of the tables that it comes from."""
        return self._table._source.replayable

    @property
    def tables(self) -> tuple[Table, ...]:
        """The table."""
        return (self._table,)

    @property
    def row_kind(self) -> str | None:
        """That of the table, whose changes these are, too."""
        return self._table._source.row_kind


class Ordered(_OfOne):
    """A table's rows by keys; rows with equal keys stay in the order in which they came."""

    def __init__(self, table: Table, names: Sequence[str], keys: Sequence[SortKey]) -> None:
        super().__init__(table)
        self._names = list(names)
        self._keys = tuple(keys)

    @cached_property
    def fields(self) -> list[Field]:
        """The columns."""
        return [field for field in self._table._fields() if field.name in self._names]

    def _rows(self, on_error: str | None) -> Iterator[pa.RecordBatch]:
        return self.first(None, on_error)

    def first(self, most: int | None, on_error: str | None) -> Iterator[pa.RecordBatch]:
        """The rows in order, or the first of them: then only those are held."""
        held: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in self._table._run(on_error, None):
            held.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if most is not None and rows > max(2 * most, _ORDERED_AT_ONCE):
                table = sorted_table(pa.Table.from_batches(held), self._keys, most)
                held, rows, size = table.to_batches(), table.num_rows, table.nbytes
            if size > MAX_ORDERED_BYTES:
                raise LimitExceededError(
                    f"more than {MAX_ORDERED_BYTES >> 20} MiB of rows can't be ordered in one process: {rows} came",
                    hint="limit() behind order_by() holds only so many rows; or order them where they are written to",
                )
        table = sorted_table(pa.Table.from_batches(held), self._keys, most)
        yield from table.select(self._names).to_batches()

    def explain(self) -> str:
        """What happens here, as text."""
        keys = ", ".join(f"{key.text} {'DESC' if key.descending else 'ASC'}" for key in self._keys)
        return f"{self._table.explain()}\nThe client orders all rows by {keys}\n"


class Limited(_OfOne):
    """Some of a table's rows: what comes before and behind them is left out, and no more is asked for."""

    def __init__(self, table: Table, count: int | None, offset: int) -> None:
        super().__init__(table)
        self._count = count
        self._offset = offset

    def _rows(self, on_error: str | None) -> Iterator[pa.RecordBatch]:
        return self.first(None, on_error)

    def first(self, most: int | None, on_error: str | None) -> Iterator[pa.RecordBatch]:
        """The rows, as far as they are asked for."""
        counts = [count for count in (most, self._count) if count is not None]
        skip, left = self._offset, min(counts) if counts else None
        source = self._table._source
        if isinstance(source, Derived) and not self._table._steps:
            results = source.first(None if left is None else skip + left, on_error)
        else:
            results = self._table._run(on_error, None)
        try:
            while left is None or left > 0:
                batch = next(results, None)
                if batch is None:
                    return
                skipped = min(skip, batch.num_rows)
                skip -= skipped
                batch = batch.slice(skipped, left)
                left = None if left is None else left - batch.num_rows
                if batch.num_rows:
                    yield batch
        finally:
            # What is under way is given up.
            if isinstance(results, Generator):
                results.close()

    def explain(self) -> str:
        """What happens here, as text."""
        count = "all rows" if self._count is None else f"{self._count} rows"
        return f"{self._table.explain()}\nThe client keeps {count} behind the first {self._offset}\n"


class Union(Derived):
    """The rows of one table, then those of another one with columns of the same types."""

    def __init__(self, first: Table, second: Table) -> None:
        self._first, self._second = first, second

    @cached_property
    def fields(self) -> list[Field]:
        """The columns."""
        ours, theirs = self._first._fields(), self._second._fields()
        same = [a.data_type.nullable() == b.data_type.nullable() for a, b in zip(ours, theirs)]
        if len(ours) != len(theirs) or not all(same):
            raise InvalidPlanError(
                f"a union of ({_shown(ours)}) and ({_shown(theirs)})",
                hint="both tables need equally many columns of the same types; CAST makes them so",
            )
        nullable = [a.data_type.is_nullable or b.data_type.is_nullable for a, b in zip(ours, theirs)]
        return [
            Field(field.name, field.data_type.nullable() if null else field.data_type)
            for field, null in zip(ours, nullable)
        ]

    @property
    def replayable(self) -> bool:
        """As of the tables that it comes from."""
        return self._first._source.replayable and self._second._source.replayable

    @property
    def tables(self) -> tuple[Table, ...]:
        """Both."""
        return self._first, self._second

    @property
    def row_kind(self) -> str | None:
        """That of both tables: one column, in one place."""
        kinds = [table._source.row_kind for table in self.tables]
        if kinds == [None, None]:
            return None
        places = [table.columns.index(kind) if kind in table.columns else -1 for table, kind in zip(self.tables, kinds)]
        if kinds[0] != kinds[1] or places[0] != places[1] or -1 in places:
            raise InvalidPlanError(
                "both tables of a union have to say in one column what each row does, or none of them",
                hint="give both a row_kind of one name, and leave it in one place: select() changes the order",
            )
        return kinds[0]

    def _rows(self, on_error: str | None) -> Iterator[pa.RecordBatch]:
        schema = self._schema()
        for table in (self._first, self._second):
            for batch in table._run(on_error, None):
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)

    def explain(self) -> str:
        """What happens here, as text."""
        return f"{self._first.explain()}\n{self._second.explain()}\nThe client reads one after the other\n"


def _shown(fields: Sequence[Field]) -> str:
    return ", ".join(f"{field.name} {field.data_type}" for field in fields)
