"""Functions that see one row of a key after the other and keep state for each key."""

from __future__ import annotations

from abc import abstractmethod

from ..functions import FunctionContext, UserDefinedFunction
from .keyed_states import KeyedStates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ..row import Row
    from .descriptors import (
        AggregatingStateDescriptor,
        ListStateDescriptor,
        MapStateDescriptor,
        ReducingStateDescriptor,
        ValueStateDescriptor,
    )
    from .handles import AggregatingState, ListState, MapState, ReducingState, ValueState


class RuntimeContext(FunctionContext):
    """What a function with keyed state may ask of its surroundings."""

    def __init__(self, states: KeyedStates, surroundings: FunctionContext) -> None:
        super().__init__(surroundings._metric_group, surroundings._job_parameters, **surroundings._task)
        self._states = states

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState:
        """One value for each key."""
        return self._states.get_state(state_descriptor)

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState:
        """A list for each key."""
        return self._states.get_list_state(state_descriptor)

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState:
        """A map for each key."""
        return self._states.get_map_state(state_descriptor)

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState:
        """One value for each key, made of all that were added."""
        return self._states.get_reducing_state(state_descriptor)

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState:
        """An accumulator for each key."""
        return self._states.get_aggregating_state(state_descriptor)


class ProcessContext:
    """The row that is processed."""

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key: Any = None

    def get_current_key(self) -> Any:
        """Its key."""
        return self._key


class KeyedProcessFunction(UserDefinedFunction):
    """Any number of results per row, and state for each key: subclass it and define `process_element`."""

    @abstractmethod
    def process_element(self, value: Row, ctx: ProcessContext) -> Any:
        """Yields results for one row. State is that of the row's key."""


class KeyedProcess:
    """One function for one stream at one partition. Bundles run one at a time."""

    def __init__(
        self,
        load: Callable[[], KeyedProcessFunction],
        new_states: Callable[[], KeyedStates],
        surroundings: FunctionContext,
    ) -> None:
        self._load = load
        self._new_states = new_states
        self._surroundings = surroundings
        self._opened: tuple[KeyedProcessFunction, KeyedStates] | None = None
        self._context = ProcessContext()
        self._keys: Iterator[tuple[bytes, Any]] = iter(())

    def begin(self, bundle: int, now: int, keys: Sequence[bytes], values: Sequence[Any]) -> None:
        """A bundle begins, of rows with these keys, encoded and as values."""
        _, states = self._open()
        states.begin(bundle, now, keys)
        self._keys = iter(zip(keys, values))

    def process(self, row: Row) -> Any:
        """What the function gives for the next row."""
        function, states = self._open()
        encoded, self._context._key = next(self._keys)
        states.set_current_key(encoded)
        return function.process_element(row, self._context)

    def finish(self) -> None:
        """All results are taken: the changes of state are written."""
        _, states = self._open()
        states.commit()

    def _open(self) -> tuple[KeyedProcessFunction, KeyedStates]:
        if self._opened is None:
            function, states = self._load(), self._new_states()
            function.open(RuntimeContext(states, self._surroundings))
            self._opened = (function, states)
        return self._opened

    def close(self) -> None:
        """The instance is not needed any more.

        What the function remembers in itself can't be undone, so that this is also how a bundle ends that has failed.
        """
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()
