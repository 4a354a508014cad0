"""Groups of endless tables, and of tables of changes: what `group_by(...).select(...).open_stream(id)` runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeGuard

from .._proto.udfleet.v1 import function_pb2
from .._state.group_spec import AggregateCall, GroupSpec
from .._state.stream_aggregates import NAMES, check_types
from ..errors import InvalidInputError, InvalidPlanError
from ..types import DataType, DataTypes, Field
from ..types.wire import from_proto
from . import operators as ops
from .column_lists import expanded
from .expression import BuiltinCall, Call, Column, Expression, Named, lit
from .keyed import KeyedCall, changes_of, refuse_groups
from .value_aggregates import NAMES as KEEPING_VALUES

if TYPE_CHECKING:
    from ..streams import KeyedStream
    from .table import Table

ROW_KIND = "row_kind"
"""The results' last column: what a row does to the table of the groups."""


def open_stream(
    table: Table,
    stream: str,
    update_before: bool,
    state_ttl: timedelta | None,
    partitions: int | None,
    options: dict[str, Any],
) -> KeyedStream:
    """The stream of a table whose last step groups; `options` are those of any stream."""
    step = table._steps[-1] if table._steps else None
    before = type(table)(table._fleet, table._source, table._steps[:-1])
    if not _is_grouping(step, before):
        raise InvalidPlanError(
            "the table has no groups at its end: streams are for what keeps state",
            hint='table.group_by("user").select("user, sum(amount) as total").open_stream("totals")',
        )
    refuse_groups(before)
    groups = _Groups(before, changes_of(before))
    if isinstance(step, ops.GroupWhole):
        outputs = groups.whole(step, table)
    else:
        outputs = groups.items(step.keys if isinstance(step, ops.Group) else (), step.items, table)
    fields = groups.fields
    if any(field.name == ROW_KIND for field in fields):
        raise InvalidPlanError(f"the groups have a column {ROW_KIND!r}, as results of streams do", hint="rename it")
    spec = GroupSpec(
        len(groups.keys),
        groups.calls,
        outputs,
        isinstance(step, ops.GroupWhole) and step.table,
        groups.row_kind,
        update_before,
        _milliseconds(state_ttl),
        groups.flattens,
    )
    result = DataTypes.ROW([*fields, Field(ROW_KIND, DataTypes.TINYINT().not_null())])
    inputs = [field.data_type for field in groups.input_fields()]
    function = table._fleet._group_function(spec, groups.functions, inputs, result, partitions)
    return KeyedCall(groups.input, tuple(groups.keys), function, groups.columns).open_stream(stream, **options)


def _is_grouping(step: ops.Operator | None, before: Table) -> TypeGuard[ops.Group | ops.GroupWhole | ops.Select]:
    if isinstance(step, ops.Select):
        return _Groups(before, None).is_aggregated(step.items)
    return isinstance(step, (ops.Group, ops.GroupWhole))


def _milliseconds(ttl: timedelta | None) -> int | None:
    if ttl is None:
        return None
    if not isinstance(ttl, timedelta) or ttl < timedelta(milliseconds=1):
        raise InvalidInputError(f"state_ttl is a timedelta of at least a millisecond, not {ttl!r}")
    return int(ttl.total_seconds() * 1000)


class _Groups:
    """What groups take of a table: columns of the key, of arguments and of conditions, each once."""

    def __init__(self, table: Table, changes: str | None) -> None:
        self._table = table
        self._changes = changes
        self._items: dict[str, Named] = {}
        self.keys: list[str] = []
        self.columns: list[str] = []
        """Arguments and the like, in the order in which the function gets them."""
        self.calls: list[AggregateCall] = []
        self.functions: list[function_pb2.FunctionDefinition] = []
        self.flattens = False
        self.fields: list[Field] = []
        """Of the results."""
        self.row_kind = None if changes is None else self._column(Column(changes))
        self._pending: list[tuple[Call, list[int], int | None]] = []
        self._input: Table | None = None

    def _add(self, value: Expression, name: str) -> str:
        text = str(value)
        if text not in self._items:
            self._items[text] = value.alias(name)
        return self._items[text].names[0]

    def _column(self, value: Expression) -> int:
        name = self._add(value, f"a{len(self._items)}")
        if name not in self.columns:
            self.columns.append(name)
        return self.columns.index(name)

    @property
    def input(self) -> Table:
        """The table of these columns."""
        if self._input is None:
            self._input = self._table.select(*self._items.values())
        return self._input

    def input_fields(self) -> list[Field]:
        """Those that the function gets, in their order."""
        fields = {field.name: field for field in self.input._fields()}
        return [fields[name] for name in self.columns]

    def is_aggregated(self, items: Sequence[Expression]) -> bool:
        """Whether one of them is the call of an aggregate function."""
        return any(isinstance(_plain(item), Call) and self._kind(_plain(item)) for item in items)

    def _kind(self, call: Any) -> str:
        kind = self._table._fleet._functions.kind(call.function)
        known = isinstance(call.function, str) and call.function.lower() in NAMES
        return kind if kind else "builtin" if known else ""

    def _group(self, keys: Sequence[Expression]) -> dict[str, int]:
        """The keys, and which one each expression or name is."""
        known: dict[str, int] = {}
        for key in keys or (lit(0),):
            plain = _plain(key)
            if isinstance(plain, Column) and plain.name == self._changes:
                raise InvalidPlanError(
                    f"{self._changes!r} says what each row does: as a key, it would part a row from its retraction",
                    hint='group by the other columns; group_by("a, b").select("a, b") has their different rows',
                )
            name = self._add(plain, f"k{len(self.keys)}")
            known[str(plain)] = len(self.keys)
            if isinstance(key, Named):
                known[str(Column(key.names[0]))] = len(self.keys)
            self.keys.append(name)
        return known

    def items(self, keys: Sequence[Expression], items: Sequence[Expression], table: Table) -> list[int]:
        """Keys and aggregates, as `select` has them; which of them each column of the result is."""
        columns = self._table.columns
        known = self._group(expanded(keys, columns))
        found = []
        for item in expanded(items, columns):
            value = _plain(item)
            if str(value) in known:
                found.append(("key", known[str(value)]))
            elif isinstance(value, Call) and self._kind(value) in ("aggregate", "builtin"):
                found.append(("call", len(self._pending)))
                self._note(value)
            else:
                raise InvalidPlanError(
                    f"{value} is neither a key of the groups nor the call of an aggregate function",
                    hint="compute with the stream's results where they are taken",
                )
        fields = self._fields_of(keys, expanded(items, columns))
        if len(fields) != len(found):
            raise InvalidPlanError("results that are ROWs are columns: take them with aggregate(), not with select()")
        places = {number: place for place, (what, number) in enumerate(found) if what == "call"}
        types = [field.data_type for field in self.input_fields()]
        for number, (call, arguments, _) in enumerate(self._pending):
            field = fields[places[number]]
            if self._keeps_values(call):
                field = Field(field.name, _kept_type(str(call.function).lower(), [types[place] for place in arguments]))
                fields[places[number]] = field
        self.fields = fields
        self._make([fields[places[number]].data_type for number in range(len(self._pending))])
        return [number if what == "key" else len(self.keys) + number for what, number in found]

    def _fields_of(self, keys: Sequence[Expression], items: Sequence[Expression]) -> list[Field]:
        """The results' columns as the fleet finds them for a bounded table. It knows no built-in aggregates that keep
        values but as functions of the client's, which are not needed here: a count has their place.
        """
        known = tuple(_counted(item) if self._keeps_values(_plain(item)) else item for item in items)
        table = self._table
        return type(table)(table._fleet, table._source, (*table._steps, ops.Group(tuple(keys), known)))._fields()

    def _keeps_values(self, call: Expression) -> bool:
        return isinstance(call, Call) and self._kind(call) == "builtin" and str(call.function).lower() in KEEPING_VALUES

    def whole(self, step: ops.GroupWhole, table: Table) -> list[int]:
        """The keys, and the columns of one function."""
        self._group(step.keys)
        call = _plain(step.call)
        if isinstance(call, Call) and call.takes_row:
            changes = changes_of(self._table)
            call = Call(call.function, [Column(name) for name in self._table.columns if name != changes])
        wanted = "table_aggregate" if step.table else "aggregate"
        if not isinstance(call, Call) or self._kind(call) not in (wanted, "" if step.table else "builtin"):
            raise InvalidPlanError(f"{call} is no call of {'a table' if step.table else 'an'} aggregate function")
        self._note(call)
        self.fields = table._fields()
        result = self._table._fleet._functions.result_type(call.function)
        fields = self.fields[len(step.keys) :]
        self.flattens = not step.table and result is not None and result.root == "ROW"
        if step.table or self.flattens:
            self._make([DataTypes.ROW(fields) if result is None or result.root != "ROW" else result])
        else:
            self._make([fields[0].data_type])
        first = len(self.keys) - len(step.keys)
        return [*range(first, len(self.keys)), *range(len(self.keys), len(self.keys) + len(fields))]

    def _note(self, call: Call) -> None:
        arguments = [] if _is_count_of_all(call) else list(call.arguments)
        condition = None if call.condition is None else self._column(call.condition)
        self._pending.append((call, [self._column(argument) for argument in arguments], condition))

    def _make(self, results: Sequence[DataType]) -> None:
        types = [field.data_type for field in self.input_fields()]
        for (call, arguments, condition), result in zip(self._pending, results, strict=True):
            part, accumulator = self._part(call)
            name = call.function.lower() if isinstance(call.function, str) and part is None else "function"
            given = [types[number] for number in arguments]
            made = AggregateCall(name, part, arguments, given, result, accumulator, call.is_distinct, condition)
            try:
                check_types(made, self.row_kind is not None)
            except TypeError as error:
                raise InvalidPlanError(f"{call}: {error}", hint="cast() makes values of another type") from None
            self.calls.append(made)

    def _part(self, call: Call) -> tuple[int | None, DataType | None]:
        """Which of the functions it calls, and the type of its accumulators; a built-in one is none of them."""
        fleet = self._table._fleet
        if isinstance(call, BuiltinCall) or self._kind(call) == "builtin":
            return None, None
        definition = fleet._definition(fleet._functions.refer(call.function))
        if definition.func_type != function_pb2.FuncType.GENERAL:
            raise InvalidPlanError(
                f"{definition.name} sees whole groups: those of a stream have no end",
                hint="register an AggregateFunction with func_type general",
            )
        known = [f"{function.name}@{function.version}" for function in self.functions]
        reference = f"{definition.name}@{definition.version}"
        if reference not in known:
            known.append(reference)
            self.functions.append(definition)
        accumulator = from_proto(definition.accumulator_type) if definition.HasField("accumulator_type") else None
        return known.index(reference), accumulator


def _counted(item: Expression) -> Expression:
    call = _plain(item)
    counted = Call("count", call.arguments[:1]) if isinstance(call, Call) else call
    return counted.alias(*item.names) if isinstance(item, Named) else counted


def _kept_type(name: str, given: Sequence[DataType]) -> DataType:
    """The type of an aggregate that keeps values."""
    texts = name in ("listagg", "list_agg", "string_agg")
    if not 1 <= len(given) <= 1 + texts:
        raise InvalidPlanError(f"{name.upper()} takes {'a text, and a separator' if texts else 'one argument'}")
    kind = given[0].nullable()
    if texts and kind.root not in ("CHAR", "VARCHAR"):
        raise InvalidPlanError(f"{name.upper()} takes texts, not {kind}", hint="cast() makes texts of other values")
    if texts:
        return DataTypes.STRING()
    if name == "array_agg":
        return DataTypes.ARRAY(kind)
    return DataTypes.MULTISET(kind.not_null()) if name == "collect" else kind


def _plain(item: Expression) -> Expression:
    return item.expression if isinstance(item, Named) else item


def _is_count_of_all(call: Call) -> bool:
    """`count(*)`, and `count()`."""
    if not isinstance(call.function, str) or call.function.lower() != "count":
        return False
    return not call.arguments or (isinstance(call.arguments[0], Column) and call.arguments[0].name == "*")
