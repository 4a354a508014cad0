"""A keyed function as interpreters call it: a table function whose bundles are begun and finished around its rows."""

from __future__ import annotations

import copy

from ..functions import TableFunction
from ..row import Row, RowKind
from .backend import CacheSizes
from .channel import StateChannel
from .codec import codec_of
from .group_process import GroupProcess
from .keyed_states import KeyedStates
from .layout import StateLayout
from .process_function import KeyedProcess
from .stream_aggregates import functions_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from ..functions import FunctionContext
    from .group_spec import GroupSpec
    from .process_function import KeyedProcessFunction


class _Bundle:
    """A bundle that runs. Others may run between two parts of its results."""

    __slots__ = ("kinds", "names", "process", "token")

    def __init__(self, process: Any, token: int, names: list[str]) -> None:
        self.process = process
        self.token = token
        self.names = names
        self.kinds: Iterator[int] | None = None


class StatefulTableFunction(TableFunction):
    """Has an instance for each stream at each partition that this interpreter serves."""

    def __init__(self) -> None:
        self._sizes = CacheSizes()
        self._processes: dict[int, Any] = {}
        self._surroundings: FunctionContext | None = None
        self._channel: StateChannel | None = None
        self._bundles: dict[int, _Bundle] = {}
        self._running: _Bundle | None = None

    def _new_process(self, surroundings: FunctionContext) -> Any:
        """A further instance."""
        raise NotImplementedError

    def configure(self, states: int, map_reads: int, map_writes: int, map_page: int) -> None:
        """How large its caches are: `python.state.cache-size` and its like."""
        self._sizes = CacheSizes(states, map_reads, map_writes, map_page)

    def open(self, function_context: FunctionContext) -> None:
        """It is loaded. Instances are opened when they are needed."""
        self._surroundings = function_context
        self._channel = StateChannel()

    def close(self) -> None:
        """It is unloaded."""
        for session in list(self._processes):
            self.forget(session)

    def begin(
        self,
        session: int,
        token: int,
        bundle: int,
        now: int,
        names: list[str],
        keys: Sequence[bytes],
        columns: Sequence[Sequence[Any]],
    ) -> None:
        """A bundle begins.

        :param session: which instance runs it.
        :param names: of the arguments.
        :param keys: of its rows, encoded.
        :param columns: their values, column by column.
        """
        if self._surroundings is None:
            raise RuntimeError("a bundle came before the function was opened")
        process = self._processes.get(session)
        if process is None:
            process = self._processes[session] = self._new_process(self._surroundings)
        self._bundles[session] = _Bundle(process, token, names)
        self.resume(session)
        process.begin(bundle, now, keys, columns[0] if len(columns) == 1 else list(zip(*columns)))

    def set_row_kinds(self, session: int, kinds: Iterable[int]) -> None:
        """What the bundle's rows do to the table whose changes they are."""
        self._bundles[session].kinds = iter(kinds)

    def _states(self) -> KeyedStates:
        if self._channel is None:
            raise RuntimeError("a bundle came before the function was opened")
        return KeyedStates(self._channel, codec_of, self._sizes, StateLayout(self._channel))

    def resume(self, session: int) -> None:
        """The rows of this session's bundle are the ones that run now, with its state."""
        self._select(self._bundles.get(session))
        if self._running is None:
            raise RuntimeError("the bundle has ended")

    def _select(self, bundle: _Bundle | None) -> None:
        self._running = bundle
        if self._channel is not None:
            self._channel.token = 0 if bundle is None else bundle.token

    def finish(self, session: int) -> None:
        """All rows of the session's bundle have run."""
        self.resume(session)
        self._bundles.pop(session).process.finish()
        self._select(None)

    def discard(self, session: int) -> None:
        """The session's bundle has failed, or nobody wants it: its instance goes, with what it holds in memory."""
        self.forget(session)

    def forget(self, session: int) -> None:
        """An instance is not needed any more."""
        self._bundles.pop(session, None)
        self._select(None)
        process = self._processes.pop(session, None)
        if process is not None:
            process.close()


class KeyedTableFunction(StatefulTableFunction):
    """A function that sees row after row."""

    def __init__(self, function: KeyedProcessFunction) -> None:
        super().__init__()
        self._function = function

    def __reduce__(self) -> tuple[Any, ...]:
        return (KeyedTableFunction, (self._function,))

    def is_deterministic(self) -> bool:
        """Whether the function says so."""
        return self._function.is_deterministic()

    def _new_process(self, surroundings: FunctionContext) -> KeyedProcess:
        return KeyedProcess(self._instance, self._states, surroundings)

    def _instance(self) -> KeyedProcessFunction:
        return copy.deepcopy(self._function)

    def eval(self, *values: Any) -> Any:
        """The results of the next row."""
        if self._running is None:
            raise RuntimeError("a function with keyed state is called by streams with an id")
        row = Row(*values)
        row.set_field_names(self._running.names)
        if self._running.kinds is not None:
            row.set_row_kind(RowKind(next(self._running.kinds)))
        return self._running.process.process(row)


class GroupTableFunction(StatefulTableFunction):
    """Aggregates of groups: what has become of them with each bundle."""

    def __init__(self, spec: GroupSpec) -> None:
        super().__init__()
        self._spec = spec
        self._parts: Sequence[Any] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return (GroupTableFunction, (self._spec,))

    def compose(self, parts: Sequence[Any]) -> None:
        """What the payloads of the functions hold that it calls, before it is opened."""
        self._parts = parts

    def _new_process(self, surroundings: FunctionContext) -> GroupProcess:
        return GroupProcess(self._spec, functions_of(self._spec, self._parts), self._states, surroundings)

    def eval(self, *values: Any) -> Any:
        """What the next row changes."""
        if self._running is None:
            raise RuntimeError("a function with keyed state is called by streams with an id")
        return self._running.process.process(values)
