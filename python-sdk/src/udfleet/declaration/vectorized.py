"""Aggregate functions over whole columns that are written as classes. Runs on a bare Python."""

from __future__ import annotations

from ..functions import UserDefinedFunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..functions import FunctionContext


class VectorizedAggregate(UserDefinedFunction):
    """An AggregateFunction as a function from a group's columns to its value: `accumulate` sees them once."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def open(self, function_context: FunctionContext) -> None:
        """Opens the function."""
        self.function.open(function_context)

    def close(self) -> None:
        """Closes the function."""
        self.function.close()

    def is_deterministic(self) -> bool:
        """What the function says."""
        return bool(self.function.is_deterministic())

    def eval(self, *args: Any) -> Any:
        """The value of the columns."""
        accumulator = self.function.create_accumulator()
        self.function.accumulate(accumulator, *args)
        return self.function.get_value(accumulator)
