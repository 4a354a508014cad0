"""What a stream of groups tells when a group has changed: rows with their kinds, as `RowKind` numbers them."""

from __future__ import annotations

from ..functions import TableAggregateFunction
from ..row import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from .group_spec import GroupSpec

    Told = list[tuple[Any, ...]]
    """Results of a row."""

    class GroupResults(Protocol):
        """`sent`: what is known to whom the changes are told; None: nothing of this group."""

        def changed(self, key: tuple[Any, ...], sent: Any, accumulators: list[Any]) -> tuple[Told, Any]:
            """What is to be told now, and what is known then."""

        def ended(self, key: tuple[Any, ...], sent: Any) -> Told:
            """The group has no rows any more."""


INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE = range(4)


def new_results(spec: GroupSpec, functions: Sequence[Any]) -> GroupResults:
    """Those of a spec's groups."""
    if not spec.is_table:
        return _Values(spec, functions)
    (function,) = functions
    updates = getattr(type(function), "emit_update_with_retract", None)
    if updates not in (None, TableAggregateFunction.emit_update_with_retract):
        return _UpdatedRows(spec, function)
    return _Rows(spec, function)


class _Output:
    """Makes rows of results: the columns of the key and of the value, in their order, and the kind."""

    def __init__(self, spec: GroupSpec) -> None:
        self._outputs = spec.outputs
        self._in_order = list(spec.outputs) == list(range(len(spec.outputs)))
        self._spec = spec

    def _row(self, key: tuple[Any, ...], values: Sequence[Any], kind: int) -> tuple[Any, ...]:
        if self._in_order:
            return (*key, *values, kind)
        columns = (*key, *values)
        return (*[columns[index] for index in self._outputs], kind)


class _Values(_Output):
    """One row for each group."""

    def __init__(self, spec: GroupSpec, functions: Sequence[Any]) -> None:
        super().__init__(spec)
        self._get_values: list[Callable[[Any], Any]] = [function.get_value for function in functions]
        self._names = [field.name for field in spec.calls[0].result_type.fields] if spec.flatten else []

    def changed(self, key: tuple[Any, ...], sent: Any, accumulators: list[Any]) -> tuple[Told, Any]:
        """A new row, or the former and the present one; nothing where they are the same."""
        values = [get(accumulator) for get, accumulator in zip(self._get_values, accumulators)]
        if self._spec.flatten:
            values = list(row_values(values[0], self._names))
        if sent is None:
            return [self._row(key, values, INSERT)], values
        # Where groups expire, a row that stays the same is told too: who keeps it may let it expire as well.
        if self._spec.ttl_ms is None and same(sent, values):
            return [], sent
        after = self._row(key, values, UPDATE_AFTER)
        return ([self._row(key, sent, UPDATE_BEFORE), after] if self._spec.update_before else [after]), values

    def ended(self, key: tuple[Any, ...], sent: Any) -> Told:
        """The former row is deleted."""
        return [] if sent is None else [self._row(key, sent, DELETE)]


class _Rows(_Output):
    """Any number of rows for each group, all of which are told anew."""

    def __init__(self, spec: GroupSpec, function: Any) -> None:
        super().__init__(spec)
        self._function = function
        self._names = [field.name for field in spec.calls[0].result_type.fields]

    def changed(self, key: tuple[Any, ...], sent: Any, accumulators: list[Any]) -> tuple[Told, Any]:
        """All former rows deleted, all present ones inserted, also those that are the same."""
        emitted = self._function.emit_value(accumulators[0])
        rows = [row_values(row, self._names) for row in (() if emitted is None else emitted)]
        before = self.ended(key, sent) if self._spec.update_before else ()
        return [*before, *[self._row(key, row, INSERT) for row in rows]], rows

    def ended(self, key: tuple[Any, ...], sent: Any) -> Told:
        """All former rows are deleted."""
        return [self._row(key, row, DELETE) for row in sent or ()]


class _UpdatedRows(_Rows):
    """Any number of rows for each group, of which the function tells the changes itself."""

    def changed(self, key: tuple[Any, ...], sent: Any, accumulators: list[Any]) -> tuple[Told, Any]:
        """What it has told."""
        out = RetractableCollector(self._names, list(sent or ()))
        self._function.emit_update_with_retract(accumulators[0], out)
        return [self._row(key, row, kind) for kind, row in out.changes], out.rows


class RetractableCollector:
    """What `emit_update_with_retract` is given: it collects rows, and takes those back that it collected earlier."""

    def __init__(self, names: list[str], rows: list[Any]) -> None:
        self._names = names
        self.rows = rows
        self.changes: list[tuple[int, Any]] = []

    def collect(self, row: Any) -> None:
        """A further row of the group."""
        values = row_values(row, self._names)
        self.rows.append(values)
        self.changes.append((INSERT, values))

    def retract(self, row: Any) -> None:
        """A row of the group that is none any more."""
        values = row_values(row, self._names)
        found = next((index for index, known in enumerate(self.rows) if same(known, values)), None)
        if found is None:
            raise ValueError(f"{row!r:.100} can't be taken back: the group has no such row")
        del self.rows[found]
        self.changes.append((DELETE, values))


def row_values(row: Any, names: list[str]) -> tuple[Any, ...]:
    """A row as a function gives it: a value, values, or values by name."""
    if isinstance(row, dict):
        return tuple(row.get(name) for name in names)
    if isinstance(row, (tuple, Row)):
        return tuple(row)
    return (row,)


_PLAIN = frozenset({int, str, bool, bytes})
"""Types whose values are equal or are not."""


def same(before: Any, after: Any) -> bool:
    """Whether two values are equal; NaN is equal to itself, also within lists and the like."""
    if before is after or before == after:
        return True
    kind = type(before)
    if kind is not type(after) or kind in _PLAIN:
        return False
    if isinstance(before, (list, tuple, Row)):
        return len(before) == len(after) and all(map(same, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same(value, after[key]) for key, value in before.items())
    return bool(before != before and after != after)
