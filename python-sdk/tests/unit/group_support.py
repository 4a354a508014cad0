"""Streams of groups in this process: the code that interpreters run, over state in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fake_state import Memory

from udfleet import AggregateFunction, DataTypes, ListView, MapView, Row, TableAggregateFunction
from udfleet._state.backend import CacheSizes
from udfleet._state.codec import codec_of
from udfleet._state.group_process import GroupProcess
from udfleet._state.group_spec import AggregateCall, GroupSpec
from udfleet._state.keyed_states import KeyedStates
from udfleet._state.stream_aggregates import functions_of
from udfleet.functions import FunctionContext
from udfleet.types import DataType

BIGINT, STRING = DataTypes.BIGINT(), DataTypes.STRING()
SIZES = [0, 1, 2, 1000]
BUNDLES: list[int | None] = [1, 2, None]
KINDS = {"+I": 0, "-U": 1, "+U": 2, "-D": 3}
_SIGNS = {kind: sign for sign, kind in KINDS.items()}


class Total(AggregateFunction):
    """SUM as people write it."""

    def create_accumulator(self) -> Any:
        return [0]

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        accumulator[0] += args[0]

    def retract(self, accumulator: Any, *args: Any) -> None:
        accumulator[0] -= args[0]

    def get_value(self, accumulator: Any) -> Any:
        return accumulator[0]


class Top2(TableAggregateFunction):
    """The two greatest values, of all that a view holds."""

    def create_accumulator(self) -> Any:
        return Row(MapView())

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        accumulator[0][args[0]] = (accumulator[0].get(args[0]) or 0) + 1

    def retract(self, accumulator: Any, *args: Any) -> None:
        left = accumulator[0][args[0]] - 1
        if left:
            accumulator[0][args[0]] = left
        else:
            del accumulator[0][args[0]]

    def emit_value(self, accumulator: Any) -> Any:
        values = [value for value, count in accumulator[0].items() for _ in range(count)]
        yield from sorted(values, reverse=True)[:2]


TOP2_TYPE = DataTypes.ROW([DataTypes.FIELD("counts", DataTypes.MAP_VIEW(BIGINT, BIGINT))])


class DistinctByView(AggregateFunction):
    """Different values, counted in a view, and listed in another one in the order of their coming."""

    def create_accumulator(self) -> Any:
        return [0, MapView(), ListView()]

    def accumulate(self, accumulator: Any, *args: Any) -> None:
        accumulator[2].add(args[0])
        count = accumulator[1].get(args[0]) or 0
        accumulator[1].put(args[0], count + 1)
        accumulator[0] += count == 0

    def retract(self, accumulator: Any, *args: Any) -> None:
        count = accumulator[1][args[0]]
        if count > 1:
            accumulator[1][args[0]] = count - 1
        else:
            accumulator[1].remove(args[0])
            accumulator[0] -= 1

    def get_value(self, accumulator: Any) -> Any:
        return accumulator[0]


class Groups:
    """A stream of groups. Rows are `(kind, key, values...)`; changes come as `("+I", key, values...)`."""

    def __init__(
        self,
        calls: Sequence[AggregateCall],
        functions: Sequence[Any] = (),
        size: int = 1000,
        memory: Memory | None = None,
        changelog: bool = True,
        page: int = 1000,
        **options: Any,
    ) -> None:
        columns = 1 if options.get("is_table") else len(calls)
        self.changelog = changelog
        row_kind = 0 if changelog else None
        self.spec = GroupSpec(1, calls, range(1 + columns), row_kind=row_kind, **options)
        self.memory = Memory() if memory is None else memory
        sizes = CacheSizes(size, size, size, page)
        states = lambda: KeyedStates(self.memory, codec_of, sizes)  # noqa: E731 - short
        self.process = GroupProcess(self.spec, functions_of(self.spec, functions), states, FunctionContext())
        self.bundles = 0

    def run(self, *rows: Any, now: int = 0) -> list[tuple[Any, ...]]:
        """A bundle as the interpreter runs it."""
        self.bundles += 1
        keys = [repr("nan" if row[1] != row[1] else row[1]).encode() for row in rows]
        self.process.begin(self.bundles, now, keys, [row[1] for row in rows])
        found: list[tuple[Any, ...]] = []
        for row in rows:
            # What is no column of a table of new rows is one here that nobody reads.
            changes = self.process.process((KINDS[row[0]], *row[2:]))
            found += [(_SIGNS[change[-1]], *change[:-1]) for change in changes]
        self.process.finish()
        return found

    def run_in(self, bundle: int | None, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        """All rows, in bundles of so many; None: in one."""
        step = bundle or max(1, len(rows))
        return [change for start in range(0, len(rows), step) for change in self.run(*rows[start : start + step])]

    def restart(self) -> None:
        """Another interpreter goes on."""
        self.process.close()


def materialized(changes: Sequence[Any]) -> list[Any]:
    """The rows that are left when all changes are applied; changes that make no sense are an error."""
    rows: list[Any] = []
    for kind, *row in changes:
        if kind in ("+I", "+U"):
            rows.append(tuple(row))
        else:
            rows.remove(tuple(row))
    return sorted(rows, key=repr)


def total(**options: Any) -> AggregateCall:
    return AggregateCall("total", 0, [1], [BIGINT], BIGINT, **options)


def builtin(name: str, result: DataType = BIGINT, given: DataType = BIGINT, **options: Any) -> AggregateCall:
    return AggregateCall(name, None, options.pop("arguments", [1]), [given], result, **options)


def top2() -> AggregateCall:
    return AggregateCall("top2", 0, [1], [BIGINT], DataTypes.ROW([DataTypes.FIELD("v", BIGINT)]), TOP2_TYPE)
