"""Base classes of functions, and what a function is given in `open`."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .metrics import MetricGroup
    from .types.coerce import TypeLike


class FunctionContext:
    """What a function may ask of its surroundings.

    :param metric_group: None: metrics are off.
    :param job_parameters: of the client that registered the function.
    :param task: PyFlink's newer fields: `task_name`, `number_of_parallel_subtasks`,
        `max_number_of_parallel_subtasks`, `index_of_this_subtask`, `attempt_number`.
    """

    def __init__(
        self,
        metric_group: MetricGroup | None = None,
        job_parameters: Mapping[str, str] | None = None,
        **task: Any,
    ) -> None:
        self._job_parameters = dict(job_parameters or {})
        self._metric_group = metric_group
        self._task = task

    def get_job_parameter(self, key: str, default_value: str) -> str:
        """The job's parameter of that name, as text."""
        return self._job_parameters.get(key, default_value)

    def get_metric_group(self) -> MetricGroup:
        """The function's metrics; RuntimeError where metrics are off."""
        if self._metric_group is None:
            raise RuntimeError("metrics are not enabled: set python.metric.enabled to true")
        return self._metric_group

    def get_task_name(self) -> str:
        """The function's `name@version`."""
        return str(self._task.get("task_name", ""))

    def get_task_name_with_subtasks(self) -> str:
        """`add@3 (1/4)`: with the number of this interpreter, from 1, and how many there are."""
        index = self.get_index_of_this_subtask() + 1
        return f"{self.get_task_name()} ({index}/{self.get_number_of_parallel_subtasks()})"

    def get_number_of_parallel_subtasks(self) -> int:
        """How many interpreters of this executor serve the function's environment."""
        return int(self._task.get("number_of_parallel_subtasks", 1))

    def get_max_number_of_parallel_subtasks(self) -> int:
        """The most interpreters that this executor may run."""
        return int(self._task.get("max_number_of_parallel_subtasks", self.get_number_of_parallel_subtasks()))

    def get_index_of_this_subtask(self) -> int:
        """The index of this interpreter, from 0; a spare one, started while another loads, comes after the others."""
        return int(self._task.get("index_of_this_subtask", 0))

    def get_attempt_number(self) -> int:
        """How many interpreters were started in its place before, from 0."""
        return int(self._task.get("attempt_number", 0))


class UserDefinedFunction(ABC):  # noqa: B024 - kinds of functions add the abstract methods
    """A function with a life cycle: `open` once per interpreter, `close` when it is unloaded."""

    def open(self, function_context: FunctionContext) -> None:  # noqa: B027 - meant to be left out
        """Called once before the first row."""

    def close(self) -> None:  # noqa: B027 - meant to be left out
        """Called once after the last row."""

    def is_deterministic(self) -> bool:
        """Whether equal arguments always give equal results."""
        return True


class ScalarFunction(UserDefinedFunction):
    """One value per row: subclass it and define `eval`."""

    @abstractmethod
    def eval(self, *args: Any) -> Any:
        """The value for one row (general), or for whole columns (pandas, arrow)."""


class AsyncScalarFunction(UserDefinedFunction):
    """One value per row, awaited: many rows wait at the same time. Define `async def eval`."""

    @abstractmethod
    async def eval(self, *args: Any) -> Any:
        """The value for one row."""


class TableFunction(UserDefinedFunction):
    """Any number of rows per row: subclass it and define `eval`."""

    @abstractmethod
    def eval(self, *args: Any) -> Any:
        """The rows: a generator, list or range of them; a tuple or Row is one row, None is none."""


class ImperativeAggregateFunction(UserDefinedFunction):
    """What aggregate and table aggregate functions share: accumulators, changed in place row by row."""

    @abstractmethod
    def create_accumulator(self) -> Any:
        """The accumulator of a new group."""

    @abstractmethod
    def accumulate(self, accumulator: Any, *args: Any) -> None:
        """Takes a row in."""

    def retract(self, accumulator: Any, *args: Any) -> None:
        """Takes a row back, where the input is a table of changes."""
        raise RuntimeError(f"{type(self).__name__} does not define retract()")

    def merge(self, accumulator: Any, accumulators: Iterable[Any]) -> None:
        """Merges others into the first. With it, groups are aggregated in parts all over the fleet."""
        raise RuntimeError(f"{type(self).__name__} does not define merge()")

    def get_result_type(self) -> TypeLike:
        """The result type, where `udaf` or `udtaf` is given none."""
        raise RuntimeError(f"{type(self).__name__} does not define get_result_type()")

    def get_accumulator_type(self) -> TypeLike:
        """The accumulator's type, where `udaf` or `udtaf` is given none."""
        raise RuntimeError(f"{type(self).__name__} does not define get_accumulator_type()")


class AggregateFunction(ImperativeAggregateFunction):
    """One value per group of rows."""

    @abstractmethod
    def get_value(self, accumulator: Any) -> Any:
        """The group's value."""


class TableAggregateFunction(ImperativeAggregateFunction):
    """Any number of rows per group of rows."""

    @abstractmethod
    def emit_value(self, accumulator: Any) -> Iterable[Any]:
        """The group's rows."""

    def emit_update_with_retract(self, accumulator: Any, out: Any) -> None:
        """Tells a stream what has changed in the group's rows: `out.collect(row)`, `out.retract(row)`.

        Where it is defined, streams use it in place of `emit_value`, of which they tell all rows anew each time.
        """
        raise RuntimeError(f"{type(self).__name__} does not define emit_update_with_retract()")
