"""`Table`: rows and what is done with them, sent to the fleet as one plan when results are asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import FunctionNotFoundError, InvalidPlanError
from ..progress import BundleProgressHandler
from ..types import Field
from ..types.arrow import from_arrow
from ..types.datatype import shortened
from . import operators as ops
from .derived import Derived, Limited, Ordered, Union
from .expression import Call, Column, Expression, Named, lit
from .expressions import least
from .ordering import SortKey, key_names, orderings
from .plan import aggregates, build, column_names
from .python_builtins import REPEAT
from .result import TableResult
from .schema import TableSchema
from .sources import Source

if TYPE_CHECKING:
    from datetime import timedelta

    from .._proto.udfleet.v1 import plan_pb2
    from ..streams import KeyedStream
    from .fleet import PlanFleet
    from .keyed import KeyedTable


class Table:
    """A table of a fleet. Its methods make new tables; nothing runs before results are asked for.

    Expressions are text (`"a, add(b, 1) as x"`), or objects made by `col`, `lit`, `call` and declared functions.
    """

    def __init__(self, fleet: PlanFleet, source: Source | Derived, steps: tuple[ops.Operator, ...] = ()) -> None:
        self._fleet = fleet
        self._source = source
        self._steps = steps

    def _then(self, step: ops.Operator) -> Table:
        return Table(self._fleet, self._source, (*self._steps, step))

    def __repr__(self) -> str:
        columns = ", ".join(f"{field.name} {field.data_type}" for field in self._source.fields)
        return f"<udfleet.Table ({shortened(columns)}), {len(self._steps)} steps>"

    def __getattr__(self, name: str) -> Expression:
        # Only what is no method comes here. `col(name)` is for columns that are named like one.
        if name.startswith("_") or name not in self.columns:
            raise AttributeError(f"a table has neither a method nor a column {name!r}", name=name, obj=self)
        return Column(name)

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return column_names(self._source.fields, self._steps, self._fleet._functions)

    def get_schema(self) -> TableSchema:
        """The columns with their types. The fleet is asked where there are steps."""
        return TableSchema(self._fields())

    get_resolved_schema = get_schema

    def print_schema(self) -> None:
        """Prints the columns with their types."""
        print(self.get_schema().summary())  # noqa: T201 - what it is for

    def alias(self, *names: str) -> Table:
        """The columns renamed, in order: `alias("a, b")` or `alias("a", "b")`."""
        return self._then(ops.Alias(_names(names)))

    def select(self, *items: Any) -> Table:
        """These columns: `select("a, add(b, 1) as x")`. With an aggregate among them, one row of the whole table."""
        return self._then(ops.Select(ops.items(items)))

    def where(self, predicate: Any) -> Table:
        """The rows for which the predicate is true."""
        return self._then(ops.Where(ops.one(predicate)))

    filter = where

    def join_lateral(self, call: Any, predicate: Any = None) -> Table:
        """Each row with each row that a table function gives for it: `join_lateral("split(s) as (w)")`.

        :param predicate: only the pairs for which it is true.
        """
        joined = self._then(ops.lateral(call, outer=False))
        return joined if predicate is None else joined.where(predicate)

    def left_outer_join_lateral(self, call: Any, predicate: Any = None) -> Table:
        """As `join_lateral`; rows for which the function gives none stay, with nulls.

        :param predicate: none but TRUE, as in Flink.
        """
        if predicate is not None and not ops.is_true(ops.one(predicate)):
            raise InvalidPlanError(
                "left_outer_join_lateral() takes no predicate but TRUE: rows without a match would have to stay",
                hint="let the table function give only the rows that match",
                expression=str(predicate),
            )
        return self._then(ops.lateral(call, outer=True))

    def key_by(self, *keys: Any) -> KeyedTable:
        """The rows by key, for functions with keyed state: `key_by("user").process("sessions(user, page)")`."""
        from .keyed import KeyedTable, keys_of

        return KeyedTable(self, keys_of(self, keys))

    def open_stream(
        self,
        stream: str,
        *,
        commit: str = "auto",
        update_before: bool = True,
        state_ttl: timedelta | None = None,
        partitions: int | None = None,
        reset: bool = False,
        retain_results: bool = False,
    ) -> KeyedStream:
        """Opens a stream of this table's groups: `group_by("user").select("user, sum(x) as s").open_stream("sums")`.

        Its bundles are changes of the groups' table: `row_kind`, the last column, is 0 where a row is inserted, 1 and 2
        for the rows before and after an update, 3 where one is deleted.

        :param stream: the id of the stream, as for `key_by(...).process(...)`; so are `commit`,
            `reset` and `retain_results`.
        :param update_before: whether rows before updates are told. Without them, a table aggregate function's groups
            tell only what they have now, each time: their former rows are not deleted. One that has
            `emit_update_with_retract` tells what it takes back all the same.
        :param state_ttl: groups that had no row for so long are forgotten; None: never.
        :param partitions: into how many the groups fall, 1 to 256; 16 by default.
        """
        from .stream_groups import open_stream

        options = {"commit": commit, "reset": reset, "retain_results": retain_results}
        return open_stream(self, stream, update_before, state_ttl, partitions, options)

    def group_by(self, *keys: Any) -> GroupedTable:
        """Groups of rows with equal keys."""
        return GroupedTable(self, ops.items(keys))

    def map(self, function: Any) -> Table:
        """A scalar function's result for each whole row; fields of a ROW become columns.

        Pandas functions that are declared get the fields of ROW columns as columns, as in PyFlink.
        """
        call, names = ops.function(function, "map")
        table = self._flattened() if ops.takes_frame(call) else self
        return table._then(ops.MapRow(call, names))

    def _flattened(self) -> Table:
        """With the fields of ROW columns in their place, where no two columns would have one name."""
        fields = self._fields()
        items = [item for field in fields for item in _leaves(Column(field.name), field)]
        names = [item.names[0] for item in items]
        return self if len(items) == len(fields) or len({*names}) < len(names) else self.select(*items)

    def flat_map(self, function: Any) -> Table:
        """A table function's rows for each whole row."""
        return self._then(ops.lateral(function, outer=False, replaces=True))

    def aggregate(self, function: Any) -> Table:
        """An aggregate function's value for the whole table; fields of a ROW become columns."""
        return GroupedTable(self, ()).aggregate(function)

    def flat_aggregate(self, function: Any) -> Table:
        """A table aggregate function's rows for the whole table."""
        return GroupedTable(self, ()).flat_aggregate(function)

    def add_columns(self, *items: Any) -> Table:
        """All columns and these: `add_columns("add(a, b) as c")`."""
        return self._then(ops.Extend(ops.items(items), replace=False))

    def add_or_replace_columns(self, *items: Any) -> Table:
        """As `add_columns`; a column of a name that is there takes its place."""
        return self._then(ops.Extend(ops.items(items), replace=True))

    def rename_columns(self, *items: Any) -> Table:
        """Columns under other names: `rename_columns("a as x, b as y")`."""
        pairs = []
        for item in ops.items(items):
            if not (isinstance(item, Named) and isinstance(item.expression, Column) and len(item.names) == 1):
                raise TypeError(f"rename_columns() takes `old as new`, not {item}")
            pairs.append((item.expression.name, item.names[0]))
        return self._then(ops.Rename(tuple(pairs)))

    def drop_columns(self, *items: Any) -> Table:
        """All columns but these."""
        found = ops.items(items)
        if not all(isinstance(item, Column) for item in found):
            raise TypeError("drop_columns() takes names of columns")
        return self._then(ops.Drop(tuple(item.name for item in found if isinstance(item, Column))))

    def order_by(self, *keys: Any) -> Table:
        """The rows in order: `order_by("a, b DESC")`, `order_by(col("a").desc)`.

        Nulls come first, or last where the order is descending. This process holds all rows, at most 4 GiB of them;
        where a `limit` follows, only as many as that asks for.
        """
        ordered = orderings(keys)
        names = self.columns
        columns = key_names(ordered, names)
        added = [
            key.expression.alias(column) for key, column in zip(ordered, columns, strict=True) if column not in names
        ]
        table = self._then(ops.Extend(tuple(added), replace=False)) if added else self
        sort_keys = [
            SortKey(column, key.descending, str(key.expression)) for key, column in zip(ordered, columns, strict=True)
        ]
        return Table(self._fleet, Ordered(table, names, sort_keys))

    def limit(self, count: int, offset: int = 0) -> Table:
        """At most so many rows, behind the first `offset`; no more are asked for."""
        return Table(self._fleet, Limited(self, _count(count, "limit"), _count(offset, "limit")))

    fetch = limit

    def offset(self, count: int) -> Table:
        """Without the first rows."""
        return Table(self._fleet, Limited(self, None, _count(count, "offset")))

    def union_all(self, other: Table) -> Table:
        """The rows of both tables, whose columns have the same types; the names are those of this one."""
        return Table(self._fleet, Union(self, other))

    def union(self, other: Table) -> Table:
        """As `union_all`, each different row once."""
        return self.union_all(other).distinct()

    def intersect(self, other: Table) -> Table:
        """Each different row that both tables have, once; nulls are equal."""
        counted, ours, theirs = self._with_counts(other)
        return counted.where((Column(ours) > 0) & (Column(theirs) > 0)).select(*map(Column, self.columns))

    def intersect_all(self, other: Table) -> Table:
        """The rows that both tables have, as often as the one has them that has fewer; nulls are equal."""
        counted, ours, theirs = self._with_counts(other)
        return counted._repeated(self.columns, least(Column(ours), Column(theirs)))

    def minus(self, other: Table) -> Table:
        """Each different row that the other table does not have, once; nulls are equal."""
        counted, ours, theirs = self._with_counts(other)
        return counted.where((Column(ours) > 0) & (Column(theirs) == 0)).select(*map(Column, self.columns))

    def minus_all(self, other: Table) -> Table:
        """The rows that this table has more often than the other, as often as there are more; nulls are equal."""
        counted, ours, theirs = self._with_counts(other)
        return counted._repeated(self.columns, Column(ours) - Column(theirs))

    def _repeated(self, names: list[str], count: Expression) -> Table:
        """These columns of each row, so often; not at all where it is no positive number."""
        repeated = self.join_lateral(Call(REPEAT, (count,)).alias(_free("__repeat", self.columns)))
        return repeated.select(*map(Column, names))

    def _with_counts(self, other: Table) -> tuple[Table, str, str]:
        """The different rows of both tables, and the columns that tell how often each of them has the row."""
        names = self.columns
        ours, theirs = _free("__ours", names), _free("__theirs", names)
        counted = self.add_columns(lit(1).alias(ours), lit(0).alias(theirs)).union_all(
            other.add_columns(
                lit(0).alias(_free("__ours", other.columns)), lit(1).alias(_free("__theirs", other.columns))
            )
        )
        keys = tuple(Column(name) for name in names)
        sums = tuple(Column(name).sum.alias(name) for name in (ours, theirs))
        return counted._then(ops.Group(keys, (*keys, *sums))), ours, theirs

    def distinct(self) -> Table:
        """Each different row once."""
        columns = tuple(Column(name) for name in self.columns)
        return self._then(ops.Group(columns, columns))

    def explain(self) -> str:
        """The stages that the fleet makes of this, and what is chained in each."""
        before = f"{self._source.explain()}\n" if isinstance(self._source, Derived) else ""
        if not self._steps:
            return before or "The rows are handed on as they are.\n"
        return before + self._explain()

    def print_explain(self) -> None:
        """Prints what `explain` tells."""
        print(self.explain())  # noqa: T201 - what it is for

    def _explain(self) -> str:
        return self._fleet._explain_plan(self._plan())

    def execute(
        self,
        progress: bool = False,
        on_error: str | None = None,
        progress_handler: BundleProgressHandler | None = None,
    ) -> TableResult:
        """The results, as RecordBatches, as they come; constant memory but for groups.

        `execute().collect()` gives rows, `execute().print()` prints them.

        :param progress: shows a bar on stderr; where that is no terminal, a line every few seconds.
        :param on_error: what becomes of rows that functions raise for: `fail`, `null` or `skip`; None: as each was
            registered.
        :param progress_handler: hears how bundles of the stream go.
        """
        answers = self._run(on_error, progress_handler)
        if progress:
            total = self._source.rows if self._keeps_rows() else None
            answers = self._fleet._show_progress("table", answers, total)
        return TableResult(answers)

    def _rows(self) -> Iterator[pa.RecordBatch]:
        """The rows, without asking the fleet where there are no steps."""
        source = self._source
        return source.batches() if isinstance(source, Source) and not self._steps else self.execute()

    def _arrow_schema(self) -> pa.Schema:
        source = self._source
        if isinstance(source, Source) and not self._steps:
            return source.schema
        return self._fleet._plan_schema(self._plan())

    def _keeps_rows(self) -> bool:
        return all(isinstance(step, (ops.Select, ops.Alias, ops.MapRow, ops.Extend)) for step in self._steps)

    def _fields(self) -> list[Field]:
        """The columns with their types: as they are, or as the fleet finds them for the steps."""
        if not self._steps:
            return self._source.fields
        schema = self._fleet._plan_schema(self._plan())
        return [Field(f.name, from_arrow(f.type, f"column {f.name!r}", f.nullable)) for f in schema]

    def _plan(self) -> plan_pb2.Plan:
        return build(self._source.fields, self._steps, self._fleet._functions)

    def _run(self, on_error: str | None, handler: BundleProgressHandler | None) -> Iterator[pa.RecordBatch]:
        source = self._source
        batches = functools.partial(source.batches, on_error) if isinstance(source, Derived) else source.batches
        if not self._steps:
            yield from batches()
            return
        try:
            plan = self._plan()
            if aggregates(plan) and source.row_kind is not None:
                raise InvalidPlanError(
                    "groups of a table of changes are computed by a stream", hint='end with .open_stream("id")'
                )
            yield from self._fleet._run_plan(plan, batches, source.replayable, on_error, handler)
        except FunctionNotFoundError:
            # Perhaps one that was registered for this table and dropped since.
            self._fleet._functions.forget_inline()
            raise

    def to_arrow(self, on_error: str | None = None) -> pa.Table:
        """All results."""
        return pa.Table.from_batches(list(self.execute(on_error=on_error)))

    def to_pandas(self, on_error: str | None = None) -> Any:
        """All results, as a DataFrame."""
        return self.to_arrow(on_error).to_pandas()

    def to_pylist(self) -> list[dict[str, Any]]:
        """All results, as a list of dicts."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows


class GroupedTable:
    """Groups of a table's rows: made by `Table.group_by`."""

    def __init__(self, table: Table, keys: tuple[Expression, ...]) -> None:
        self._table = table
        self._keys = keys

    def select(self, *items: Any) -> Table:
        """One row per group, of keys and aggregates: `select("a, mean(b) as m")`."""
        return self._table._then(ops.Group(self._keys, ops.items(items)))

    def aggregate(self, function: Any) -> Table:
        """One row per group: the keys, and an aggregate function's value, fields of a ROW as columns."""
        call, names = ops.function(function, "aggregate")
        return self._table._then(ops.GroupWhole(self._keys, call, names, table=False))

    def flat_aggregate(self, function: Any) -> Table:
        """Any number of rows per group: the keys, and the columns of a table aggregate function."""
        call, names = ops.function(function, "flat_aggregate")
        return self._table._then(ops.GroupWhole(self._keys, call, names, table=True))


def _leaves(value: Expression, field: Field) -> Iterator[Named]:
    """A column, or the fields of a ROW column, and theirs."""
    if field.data_type.root != "ROW":
        yield value.alias(field.name)
    for part in field.data_type.fields:
        yield from _leaves(value.get(part.name), part)


def _free(name: str, taken: list[str]) -> str:
    """The name, or one like it that no column has."""
    return name if name not in taken else _free(f"_{name}", taken)


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidPlanError(f"{what}() takes a number of rows, not {value!r}")
    return value


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    from .parser import parse_names

    return tuple(name for text in given for name in parse_names(text))
