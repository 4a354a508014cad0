"""One aggregate of a group: rows into its accumulator and out of it, what DISTINCT has seen, and views in state."""

from __future__ import annotations

from operator import itemgetter

from ..types import DataTypes, Field
from ..types.datatype import DataType
from ..views import ListView, MapView
from .codec import codec_of
from .descriptors import ListStateDescriptor, MapStateDescriptor
from .state_views import StateListView, StateMapView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .group_spec import AggregateCall
    from .handles import KeyedState
    from .keyed_states import KeyedStates

ACCUMULATE = (0, 2)
"""Kinds of rows that come, as `RowKind` numbers them; the others take one back."""


class GroupAggregate:
    """Of whatever key is the current one.

    :param number: tells its states from those of the group's other aggregates.
    """

    def __init__(self, number: int, call: AggregateCall, function: Any, states: KeyedStates) -> None:
        self.call = call
        self.function = function
        self._pick = _picker(call.arguments)
        self._states: list[KeyedState] = []
        self._views = self._views_of(number, states)
        self._check = _checker(call.accumulator_type, [index for index, _ in self._views])
        self._seen: Any = None
        if call.distinct:
            arguments = DataTypes.ROW([Field(f"f{index}", kind.nullable()) for index, kind in enumerate(call.types)])
            descriptor = MapStateDescriptor(f"distinct {number}", arguments, DataTypes.BIGINT())
            self._seen = states.get_map_state(descriptor)
            self._states.append(self._seen)

    def _views_of(self, number: int, states: KeyedStates) -> list[tuple[int, Any]]:
        """Fields of accumulators that are views, and have types: they lie in state."""
        declared, sample = self.call.accumulator_type, self.function.create_accumulator()
        if declared is None or declared.root != "ROW" or not hasattr(sample, "__setitem__"):
            return []
        views: list[tuple[int, Any]] = []
        for index, field in enumerate(declared.fields):
            kind, value = field.data_type, sample[index]
            name = f"view {number} {field.name}"
            if isinstance(value, ListView) and kind.element is not None:
                found = states.get_list_state(ListStateDescriptor(name, kind.element))
                views.append((index, StateListView(found)))
                self._states.append(found)
            elif isinstance(value, MapView) and kind.key is not None and kind.element is not None:
                entries = states.get_map_state(MapStateDescriptor(name, kind.key, kind.element))
                views.append((index, StateMapView(entries)))
                self._states.append(entries)
        return views

    def clear(self) -> None:
        """Removes what the current key has in state of its own."""
        for state in self._states:
            state.clear()

    def new(self) -> Any:
        """The accumulator of a key without any."""
        accumulator = self.function.create_accumulator()
        for index, view in self._views:
            _take_over(accumulator, index, view)
        return accumulator

    def attach(self, accumulator: Any) -> None:
        """Puts views into an accumulator that was stored without them."""
        for index, view in self._views:
            accumulator[index] = view

    def detach(self, accumulator: Any) -> None:
        """Takes the views out, so that the accumulator can be stored."""
        for index, view in self._views:
            if accumulator[index] is not view:
                view.clear()
                _take_over(accumulator, index, view)
            accumulator[index] = None
        self._check(accumulator)

    def apply(self, accumulator: Any, rows: Sequence[Sequence[Any]], kinds: Sequence[int] | None) -> None:
        """Takes rows in or out, in their order. `kinds`: of the rows; None: all of them come."""
        if kinds is None and self._seen is None and self.call.condition is None:
            self._accumulate_all(accumulator, rows)
            return
        condition, pick = self.call.condition, self._pick
        for number, row in enumerate(rows):
            if condition is not None and row[condition] is not True:
                continue
            arguments = pick(row)
            if kinds is None or kinds[number] in ACCUMULATE:
                if self._seen is None or self._is_first(arguments):
                    self.function.accumulate(accumulator, *arguments)
            elif self._seen is None or self._was_last(arguments):
                self.function.retract(accumulator, *arguments)

    def _accumulate_all(self, accumulator: Any, rows: Sequence[Sequence[Any]]) -> None:
        accumulate, pick = self.function.accumulate, self._pick
        if len(self.call.arguments) == 1:
            index = self.call.arguments[0]
            for row in rows:
                accumulate(accumulator, row[index])
        else:
            for row in rows:
                accumulate(accumulator, *pick(row))

    def _is_first(self, arguments: Sequence[Any]) -> bool:
        count = self._seen.get(arguments) or 0
        self._seen.put(arguments, count + 1)
        return count == 0

    def _was_last(self, arguments: Sequence[Any]) -> bool:
        count = self._seen.get(arguments) or 0
        if count > 1:
            self._seen.put(arguments, count - 1)
        elif count == 1:
            self._seen.remove(arguments)
        return count == 1


def _take_over(accumulator: Any, index: int, view: Any) -> None:
    """A view that the function made itself becomes one in state, with what is in it."""
    made = accumulator[index]
    if isinstance(made, MapView):
        view.put_all(made)
    elif made is not None:
        view.add_all(made)
    accumulator[index] = view


def _picker(arguments: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What takes the arguments out of a row."""
    if not arguments:
        return lambda _: ()
    if len(arguments) == 1:
        (index,) = arguments
        return lambda row: (row[index],)
    return itemgetter(*arguments)


def _checker(accumulator_type: DataType | None, views: Sequence[int]) -> Callable[[Any], None]:
    """What raises for an accumulator that does not fit its type. Views check what is put into them."""
    if accumulator_type is None:
        return lambda _: None
    if accumulator_type.root != "ROW":
        encode = _encoder(accumulator_type)
        return lambda accumulator: None if accumulator is None else _passed(encode(accumulator))
    fields = enumerate(accumulator_type.fields)
    checks = [(index, _encoder(field.data_type)) for index, field in fields if index not in views]

    def check(accumulator: Any) -> None:
        for index, encode in checks:
            if accumulator[index] is not None:
                encode(accumulator[index])

    return check


def _encoder(data_type: DataType) -> Callable[[Any], bytes]:
    """What raises for a value that does not fit a type; nothing does where state can't have the type by itself."""
    try:
        return codec_of(data_type).encode
    except TypeError:
        return lambda _: b""


def _passed(_: bytes) -> None:
    """What fits."""
