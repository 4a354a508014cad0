"""Base classes of functions, and what a function is given in `open`."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class FunctionContext:
    """What a function may ask of its surroundings."""

    def __init__(self, job_parameters: Mapping[str, str] | None = None, metric_group: Any = None) -> None:
        self._job_parameters = dict(job_parameters or {})
        self._metric_group = metric_group

    def get_job_parameter(self, key: str, default_value: str) -> str:
        """The job's parameter of that name, as text."""
        return self._job_parameters.get(key, default_value)

    def get_metric_group(self) -> Any:
        """The function's metrics; RuntimeError where metrics are off."""
        if self._metric_group is None:
            raise RuntimeError("metrics are not enabled: set python.metric.enabled to true")
        return self._metric_group


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
