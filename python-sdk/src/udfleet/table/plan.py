"""A table's steps as the plan that a fleet is sent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

from .._proto.udfleet.v1 import plan_pb2
from ..errors import InvalidPlanError
from ..types import DataType, Field
from ..types.wire import to_proto
from . import operators as ops
from .column_lists import expanded
from .expression import BuiltinCall, Call, Column, Expression, Flattened, Named
from .named import AGGREGATES, TypeOf, is_named, resolved
from .proto import call_message, to_message
from .python_builtins import VOLATILE
from .traversal import check, find


class Functions(Protocol):
    """What has to be known about functions."""

    def refer(self, function: Any) -> str:
        """The registered name of a function that is a name or a declaration; registers declarations."""

    def kind(self, function: Any) -> str:
        """`scalar`, `table`, `aggregate` or `table_aggregate`; "" for an unknown function."""

    def result_type(self, function: Any) -> DataType | None:
        """Its result type; None for an unknown function."""

    def is_deterministic(self, function: Any) -> bool:
        """Whether it gives the same for the same arguments; so it is of an unknown function."""

    def column_types(self, plan: plan_pb2.Plan) -> list[DataType]:
        """The types of the columns that a plan gives."""


def build(fields: Sequence[Field], steps: Sequence[ops.Operator], functions: Functions) -> plan_pb2.Plan:
    """The plan."""
    return _Builder(fields, functions).build(steps)


def column_names(fields: Sequence[Field], steps: Sequence[ops.Operator], functions: Functions) -> list[str]:
    """The names of the columns that the steps give."""
    builder = _Builder(fields, functions)
    builder.build(steps)
    return builder.columns


class _Builder:
    def __init__(self, fields: Sequence[Field], functions: Functions) -> None:
        self.plan = plan_pb2.Plan()
        for field in fields:
            self.plan.source.add(name=field.name).type.CopyFrom(to_proto(field.data_type))
        self.columns = [field.name for field in fields]
        self.functions = functions
        self.keys: list[plan_pb2.Item] | None = None
        """Of the group whose items are made."""
        self.refer = functions.refer

    def build(self, steps: Sequence[ops.Operator]) -> plan_pb2.Plan:
        for step in steps:
            handle: Any = _HANDLERS[type(step)]
            handle(self, step)
        return self.plan

    def select(self, step: ops.Select) -> None:
        items = expanded(step.items, self.columns)
        if any(map(self.aggregates, items)):
            self.group(ops.Group((), items))
        else:
            self.project([self.item(item) for item in items])

    def project(self, items: list[tuple[plan_pb2.Item, list[str]]]) -> None:
        self.plan.operators.add().project.items.extend(item for item, _ in items)
        self.columns = _names(items)

    def where(self, step: ops.Where) -> None:
        predicate = self.message(step.predicate)
        self.plan.operators.add().filter.predicate.CopyFrom(predicate)

    def lateral(self, step: ops.Lateral) -> None:
        plain = self.plain(step.call)
        # The fleet tells of what is no table function.
        call = plain if isinstance(plain, Call) else step.call
        correlate = self.plan.operators.add().correlate
        correlate.call.CopyFrom(call_message(call, self.refer, self.is_volatile))
        correlate.names.extend(step.names)
        correlate.outer, correlate.replaces = step.outer, step.replaces
        self.columns = ([] if step.replaces else self.columns) + (list(step.names) or self.own_names(step.call))

    def group(self, step: ops.Group) -> None:
        keys = [self.item(key)[0] for key in expanded(step.keys, self.columns)]
        self.keys = keys
        items = [self.item(item) for item in expanded(step.items, self.columns)]
        self.keys = None
        aggregate = self.plan.operators.add().aggregate
        aggregate.keys.extend(keys)
        aggregate.items.extend(item for item, _ in items)
        self.columns = _names(items)

    def group_whole(self, step: ops.GroupWhole) -> None:
        keys = [self.item(key) for key in step.keys]
        if step.table:
            plain = self.plain(step.call)
            # The fleet tells of what is no table aggregate function.
            call = plain if isinstance(plain, Call) else step.call
            assert isinstance(call, Call)
            aggregate = self.aggregate(keys)
            aggregate.table.CopyFrom(call_message(call, self.refer, self.is_volatile))
            names = list(step.names) or _beside(_names(keys), self.own_names(call))
            aggregate.names.extend(names)
            self.columns = _names(keys) + names
            return
        self.keys = [key for key, _ in keys]
        items = [self.item(_again(key)) for key in step.keys] + [self.whole(step.call, self.whole_names(step, keys))]
        self.keys = None
        aggregate = self.aggregate(keys)
        aggregate.items.extend(item for item, _ in items)
        self.columns = _names(items)

    def aggregate(self, keys: list[tuple[plan_pb2.Item, list[str]]]) -> plan_pb2.Aggregate:
        """A further operator, with these keys."""
        aggregate = self.plan.operators.add().aggregate
        aggregate.keys.extend(key for key, _ in keys)
        return aggregate

    def whole_names(self, step: ops.GroupWhole, keys: list[tuple[plan_pb2.Item, list[str]]]) -> tuple[str, ...]:
        """The names that were given, or those of a ROW's fields where keys have some of them already."""
        result = self.functions.result_type(step.call.function) if isinstance(step.call, Call) else None
        if step.names or result is None or result.root != "ROW":
            return step.names
        own = result.field_names()
        return tuple(_beside(_names(keys), own)) if set(own) & set(_names(keys)) else ()

    def map_row(self, step: ops.MapRow) -> None:
        self.project([self.whole(step.call, step.names)])

    def alias(self, step: ops.Alias) -> None:
        if len(step.names) > len(self.columns):
            raise InvalidPlanError(f"alias() names {len(step.names)} columns, there are {len(self.columns)}")
        new = [*step.names, *self.columns[len(step.names) :]]
        self.project([self.item(Column(a).alias(b)) for a, b in zip(self.columns, new, strict=True)])

    def extend(self, step: ops.Extend) -> None:
        added: dict[str, Expression] = {}
        for item in step.items:
            if not isinstance(item, (Named, Column)):
                raise InvalidPlanError("a further column needs a name: `expression as name`", expression=str(item))
            added[item.names[0] if isinstance(item, Named) else item.name] = item
        twice = [name for name in added if name in self.columns]
        if twice and not step.replace:
            raise InvalidPlanError(
                f"there is a column {twice[0]!r} already", hint="add_or_replace_columns() replaces it"
            )
        kept = [added.pop(name, Column(name)) for name in self.columns]
        self.project([self.item(item) for item in [*kept, *added.values()]])

    def rename(self, step: ops.Rename) -> None:
        new = dict(step.names)
        self.known(list(new))
        self.project([self.item(Column(name).alias(new.get(name, name))) for name in self.columns])

    def drop(self, step: ops.Drop) -> None:
        self.known(list(step.names))
        self.project([self.item(Column(name)) for name in self.columns if name not in step.names])

    def known(self, names: list[str]) -> None:
        for name in names:
            if name not in self.columns:
                raise InvalidPlanError(f"there is no column {name!r}", hint=f"there are {', '.join(self.columns)}")

    def item(self, expression: Expression) -> tuple[plan_pb2.Item, list[str]]:
        if isinstance(expression, Flattened):
            return self.flattened(expression.expression)
        names = expression.names if isinstance(expression, Named) else ()
        value = expression.expression if isinstance(expression, Named) else expression
        if len(names) > 1:
            return self.whole(value, names)
        name = names[0] if names else value.name if isinstance(value, Column) else ""
        return plan_pb2.Item(expression=self.message(value), name=name), [name]

    def flattened(self, value: Expression) -> tuple[plan_pb2.Item, list[str]]:
        """The fields of a ROW, named as in Flink."""
        given = self.type_in_row(self.plain(value)) if self.keys is None else self.type_in_group(self.plain(value))
        if given.root != "ROW":
            raise InvalidPlanError(f"FLATTEN takes a ROW, not {given}", expression=str(value))
        front = f"{value.name}$" if isinstance(value, Column) else ""
        names = [front + field.name for field in given.fields]
        return plan_pb2.Item(expression=self.message(value), flatten=True, names=names), names

    def whole(self, value: Expression, names: tuple[str, ...]) -> tuple[plan_pb2.Item, list[str]]:
        """A ROW as its fields; any other value as one column."""
        result = self.functions.result_type(value.function) if isinstance(value, Call) else None
        message = self.message(value)
        if (result is not None and result.root == "ROW") or len(names) > 1:
            own = [] if result is None else [field.name for field in result.fields]
            return plan_pb2.Item(expression=message, flatten=True, names=names), list(names) or own
        name = names[0] if names else ""
        return plan_pb2.Item(expression=message, name=name), [name]

    def message(self, value: Expression) -> plan_pb2.Expression:
        """An expression over the columns that there are."""
        return to_message(self.plain(value), self.refer, self.is_volatile)

    def plain(self, value: Expression) -> Expression:
        """The expression with what the fleet knows of only."""
        check(value)
        if find(value, self.is_composed) is None:
            return value
        type_of = self.type_in_row if self.keys is None else self.type_in_group
        plain = resolved(value, lambda name: bool(self.functions.kind(name)), type_of, self.types_within)
        check(plain)
        return plain

    def type_in_row(self, value: Expression) -> DataType:
        plan = self.plan_to_ask()
        plan.operators.add().project.items.append(self.item_to_ask(value))
        return self.functions.column_types(plan)[0]

    def type_in_group(self, value: Expression) -> DataType:
        """The type of what keys and aggregates are in."""
        plan = self.plan_to_ask()
        aggregate = plan.operators.add().aggregate
        aggregate.keys.extend(self.keys or ())
        aggregate.items.append(self.item_to_ask(value))
        return self.functions.column_types(plan)[0]

    def types_within(self, call: Call, outside: TypeOf) -> TypeOf:
        """An aggregate's arguments are of the rows that it aggregates."""
        return self.type_in_row if self.is_aggregate(call) else outside

    def plan_to_ask(self) -> plan_pb2.Plan:
        plan = plan_pb2.Plan()
        plan.CopyFrom(self.plan)
        return plan

    def item_to_ask(self, value: Expression) -> plan_pb2.Item:
        check(value)
        return plan_pb2.Item(expression=to_message(value, self.refer, self.is_volatile), name="value")

    def is_volatile(self, call: Call) -> bool:
        if self.is_composed(call):
            return str(call.function).lower() in VOLATILE
        return not self.functions.is_deterministic(call.function)

    def is_composed(self, call: Call) -> bool:
        if not is_named(call.function):
            return False
        return isinstance(call, BuiltinCall) or not self.functions.kind(call.function)

    def own_names(self, call: Call) -> list[str]:
        """The columns of a table function that were given no names."""
        result = self.functions.result_type(call.function)
        return [field.name for field in result.fields] if result is not None and result.root == "ROW" else ["f0"]

    def is_aggregate(self, call: Call) -> bool:
        function = call.function
        kind = self.functions.kind(function)
        builtin = isinstance(function, str) and function.lower() in _BUILTIN_AGGREGATES
        return kind == "aggregate" or (not kind and builtin)

    def aggregates(self, expression: Expression) -> bool:
        """Whether an aggregate function is called in it."""
        return find(expression, self.is_aggregate) is not None


_BUILTIN_AGGREGATES = frozenset(
    ["count", "sum", "avg", "min", "max", "stddev_pop", "stddev_samp", "stddev", "var_pop", "var_samp", "variance"]
).union(AGGREGATES)
"""What is aggregated without a function of the user's, where no function of the name is registered."""


def _names(items: list[tuple[plan_pb2.Item, list[str]]]) -> list[str]:
    names = [name for _, names in items for name in names]
    return [name or f"_c{index}" for index, name in enumerate(names)]


def _beside(keys: list[str], names: list[str]) -> list[str]:
    """Names for columns behind keys; what is a key's name gets a number, as in Flink."""
    taken = {*keys, *names}
    found = []
    for name in names:
        free = name if name not in keys else next(f"{name}_{i}" for i in count() if f"{name}_{i}" not in taken)
        taken.add(free)
        found.append(free)
    return found


def _again(key: Expression) -> Expression:
    """A key, named as a column of the result."""
    return Column(key.names[0]) if isinstance(key, Named) else key


_HANDLERS: dict[type, Any] = {
    ops.Select: _Builder.select,
    ops.Where: _Builder.where,
    ops.Lateral: _Builder.lateral,
    ops.Group: _Builder.group,
    ops.GroupWhole: _Builder.group_whole,
    ops.MapRow: _Builder.map_row,
    ops.Alias: _Builder.alias,
    ops.Extend: _Builder.extend,
    ops.Rename: _Builder.rename,
    ops.Drop: _Builder.drop,
}


def aggregates(plan: plan_pb2.Plan) -> bool:
    """Whether results come at the end of the input only."""
    return any(operator.HasField("aggregate") for operator in plan.operators)


def function_names(message: Any) -> set[str]:
    """The functions that a plan, or a part of one, calls."""
    found: set[str] = set()
    if isinstance(message, plan_pb2.Call):
        found.add(message.function)
    for field, value in message.ListFields():
        if field.message_type is not None:
            # Lists and single messages alike.
            for part in value if hasattr(value, "add") else [value]:
                found |= function_names(part)
    return found
