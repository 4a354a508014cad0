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
    """One function at one partition. Bundles run one at a time."""

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

    def run(self, bundle: int, now: int, rows: Sequence[tuple[bytes, Any, Row]]) -> Iterator[Any]:
        """The results of a bundle's rows, each given with its key, encoded and as a value. The changes of state are
        written once the last result is taken. A bundle that fails, or is left, discards the function's instance.
        """
        function, states = self._open()
        is_complete = False
        try:
            states.begin(bundle, now, [key for key, _, _ in rows])
            context = ProcessContext()
            for encoded, key, row in rows:
                states.set_current_key(encoded)
                context._key = key
                yield from function.process_element(row, context) or ()
            states.commit()
            is_complete = True
        finally:
            if not is_complete:
                self.discard()

    def _open(self) -> tuple[KeyedProcessFunction, KeyedStates]:
        if self._opened is None:
            function, states = self._load(), self._new_states()
            function.open(RuntimeContext(states, self._surroundings))
            self._opened = (function, states)
        return self._opened

    def discard(self) -> None:
        """A bundle that has run is not committed: what the function remembers in itself can't be undone, so a new
        instance takes its place.
        """
        self._opened = None

    def close(self) -> None:
        """The function is unloaded."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()
