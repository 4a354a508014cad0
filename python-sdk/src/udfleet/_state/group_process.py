"""Groups of an endless table, or of a table of changes: what is told when a bundle has changed them.

The rows of a key are applied at its last row in the bundle: a bundle is what Flink calls a mini-batch.
"""

from __future__ import annotations

import copy
import pickle

from ..types import DataTypes
from .descriptors import StateTtlConfig, StateVisibility, UpdateType, ValueStateDescriptor
from .group_aggregate import ACCUMULATE, GroupAggregate
from .group_results import new_results

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ..functions import FunctionContext
    from .group_results import GroupResults
    from .group_spec import GroupSpec
    from .handles import ValueState
    from .keyed_states import KeyedStates

_KINDS = frozenset(range(4))
_PROTOCOL = 4
"""Of pickle: all Pythons that interpreters run on have it."""


class _OpenGroups:
    """Functions of one instance, opened, and its states."""

    __slots__ = ("aggregates", "functions", "record", "results", "states")

    def __init__(self, spec: GroupSpec, functions: list[Any], states: KeyedStates) -> None:
        self.functions = functions
        self.states = states
        descriptor = ValueStateDescriptor("group", DataTypes.BYTES())
        if spec.ttl_ms is not None:
            ttl = StateTtlConfig(spec.ttl_ms, UpdateType.OnCreateAndWrite, StateVisibility.NeverReturnExpired)
            descriptor.enable_time_to_live(ttl)
        self.record: ValueState = states.get_state(descriptor)
        pairs = enumerate(zip(spec.calls, functions))
        self.aggregates = [GroupAggregate(number, call, function, states) for number, (call, function) in pairs]
        self.results: GroupResults = new_results(spec, functions)


class GroupProcess:
    """The groups of one stream at one partition. Bundles run one at a time."""

    def __init__(
        self,
        spec: GroupSpec,
        functions: Sequence[Any],
        new_states: Callable[[], KeyedStates],
        surroundings: FunctionContext,
    ) -> None:
        self._spec = spec
        self._functions = functions
        self._new_states = new_states
        self._surroundings = surroundings
        self._opened: _OpenGroups | None = None
        self._rows: dict[bytes, list[Any]] = {}
        self._steps: Iterator[tuple[Callable[[Any], None], int, bytes, Any]] = iter(())
        """Of each row: what puts it to those of its key, whether it is the last of them, and its key."""

    def begin(self, bundle: int, now: int, keys: Sequence[bytes], values: Sequence[Any]) -> None:
        """A bundle begins, of rows with these keys, encoded and as values."""
        self._open().states.begin(bundle, now, keys)
        last = dict(zip(keys, range(len(keys))))
        rows: dict[bytes, list[Any]] = {key: [] for key in last}
        self._rows = rows
        ends = bytearray(len(keys))
        for number in last.values():
            ends[number] = 1
        self._steps = zip([rows[key].append for key in keys], ends, keys, values)

    def process(self, row: Sequence[Any]) -> list[Any]:
        """Takes the next row; what has become of its group where it is the group's last one in the bundle."""
        append, ends, key, value = next(self._steps)
        append(row)
        if not ends:
            return []
        return self._apply(key, (value,) if self._spec.keys == 1 else tuple(value), self._rows.pop(key))

    def _apply(self, encoded: bytes, key: tuple[Any, ...], rows: list[Sequence[Any]]) -> list[Any]:
        opened = self._open()
        opened.states.set_current_key(encoded)
        stored = opened.record.value()
        kinds = None if self._spec.row_kind is None else [row[self._spec.row_kind] for row in rows]
        if kinds is not None and not _KINDS.issuperset(kinds):
            raise ValueError(f"the row kinds of a group are {sorted(set(kinds), key=str)}: 0, 1, 2 and 3 are kinds")
        if stored is None:
            if kinds is not None:
                # What was never told can't be taken back.
                first = next((index for index, kind in enumerate(kinds) if kind in ACCUMULATE), len(kinds))
                rows, kinds = rows[first:], kinds[first:]
            if not rows:
                return []
            count, sent = 0, None
            # What an expired group has left does not count.
            for aggregate in opened.aggregates:
                aggregate.clear()
            accumulators = [aggregate.new() for aggregate in opened.aggregates]
        else:
            count, sent, accumulators = _restored(stored)
            for aggregate, accumulator in zip(opened.aggregates, accumulators):
                aggregate.attach(accumulator)
        for aggregate, accumulator in zip(opened.aggregates, accumulators):
            aggregate.apply(accumulator, rows, kinds)
        if kinds is not None:
            count += sum(1 if kind in ACCUMULATE else -1 for kind in kinds)
            if count == 0:
                opened.record.clear()
                for aggregate in opened.aggregates:
                    aggregate.clear()
                return opened.results.ended(key, sent)
        changes, sent = opened.results.changed(key, sent, accumulators)
        for aggregate, accumulator in zip(opened.aggregates, accumulators):
            aggregate.detach(accumulator)
        opened.record.update(_stored(count, sent, accumulators))
        return changes

    def finish(self) -> None:
        """All results are taken: the changes of state are written."""
        self._open().states.commit()

    def _open(self) -> _OpenGroups:
        if self._opened is None:
            functions = [copy.deepcopy(function) for function in self._functions]
            for function in functions:
                function.open(self._surroundings)
            self._opened = _OpenGroups(self._spec, functions, self._new_states())
        return self._opened

    def close(self) -> None:
        """The instance is not needed any more, or its bundle has failed."""
        opened, self._opened = self._opened, None
        if opened is not None:
            for function in opened.functions:
                function.close()


def _stored(count: int, sent: Any, accumulators: list[Any]) -> bytes:
    # Apart: what was told may be part of an accumulator, which changes while what was told does not.
    return pickle.dumps((count, sent, pickle.dumps(accumulators, _PROTOCOL)), _PROTOCOL)


def _restored(stored: bytes) -> tuple[int, Any, list[Any]]:
    count, sent, accumulators = pickle.loads(stored)  # noqa: S301 - written by this code
    return count, sent, pickle.loads(accumulators)  # noqa: S301 - the same
