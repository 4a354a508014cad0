"""What a stream of groups computes: its keys, its aggregates, and what it tells of changes."""

from __future__ import annotations

import json

from ..types import DataTypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..types import DataType


class AggregateCall:
    """One aggregate of a group.

    :param part: which of the functions that registered functions brought; None: a built-in one, of this `name`.
    :param arguments: the columns that it takes, among those that are not the key.
    :param types: those of its arguments.
    :param accumulator_type: None: nothing is known of it.
    :param distinct: equal arguments count once.
    :param condition: the column that says whether a row counts; None: each does.
    """

    __slots__ = ("accumulator_type", "arguments", "condition", "distinct", "name", "part", "result_type", "types")

    def __init__(
        self,
        name: str,
        part: int | None,
        arguments: Sequence[int],
        types: Sequence[DataType],
        result_type: DataType,
        accumulator_type: DataType | None = None,
        distinct: bool = False,
        condition: int | None = None,
    ) -> None:
        self.name = name
        self.part = part
        self.arguments = tuple(arguments)
        self.types = tuple(types)
        self.result_type = result_type
        self.accumulator_type = accumulator_type
        self.distinct = distinct
        self.condition = condition


class GroupSpec:
    """A group's results.

    :param keys: how many columns are the key.
    :param calls: the aggregates; of a table aggregate one.
    :param outputs: the result's columns: keys by their number, aggregates by theirs behind the keys.
    :param is_table: the call is a table aggregate function's: any number of rows for each group.
    :param flatten: the only call gives a ROW, whose fields are columns.
    :param row_kind: the column that says what a row does to the input; None: all of them are new ones.
    :param update_before: whether a row that is replaced is told before the one that replaces it.
    :param ttl_ms: a group is forgotten when it had no row for so long; None: never.
    """

    __slots__ = ("calls", "flatten", "is_table", "keys", "outputs", "row_kind", "ttl_ms", "update_before")

    def __init__(
        self,
        keys: int,
        calls: Sequence[AggregateCall],
        outputs: Sequence[int],
        is_table: bool = False,
        row_kind: int | None = None,
        update_before: bool = True,
        ttl_ms: int | None = None,
        flatten: bool = False,
    ) -> None:
        self.keys = keys
        self.calls = tuple(calls)
        self.outputs = tuple(outputs)
        self.is_table = is_table
        self.row_kind = row_kind
        self.update_before = update_before
        self.ttl_ms = ttl_ms
        self.flatten = flatten

    def __reduce__(self) -> tuple[Any, ...]:
        # One text: equal specs have equal pickles.
        return (spec_of, (self.text(),))

    def text(self) -> str:
        """The spec as JSON."""
        own = {name: getattr(self, name) for name in self.__slots__}
        own["calls"] = [{name: _plain(getattr(call, name)) for name in call.__slots__} for call in self.calls]
        return json.dumps(own, sort_keys=True)


def spec_of(text: str) -> GroupSpec:
    """The spec of a text."""
    own = json.loads(text)
    for call in own["calls"]:
        call["types"] = [DataTypes.parse(given) for given in call["types"]]
        for name in ("result_type", "accumulator_type"):
            call[name] = None if call[name] is None else DataTypes.parse(call[name])
    return GroupSpec(**{**own, "calls": [AggregateCall(**call) for call in own["calls"]]})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
