"""What declarations know of expressions, so that nothing here depends on tables. Runs on a bare Python."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class PlanExpression:
    """A value per row of a table. A declared function that is called with one gives a call for a plan."""

    __slots__ = ()

    def _call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """The call of a function with these arguments, of which this expression is one."""
        raise NotImplementedError


class ConstantCalls:
    """How a call without columns becomes an expression: known where tables are, which is never in an interpreter."""

    make: Callable[[Any, tuple[Any, ...]], Any] | None = None


class AliasedFunction:
    """A declared function over whole rows, with names for its columns: what `map` and its like take."""

    __slots__ = ("function", "names")

    def __init__(self, function: Any, names: tuple[str, ...]) -> None:
        if not names or not all(isinstance(name, str) and name for name in names):
            raise TypeError(f"alias() takes names, not {names!r}")
        self.function = function
        self.names = names

    def __repr__(self) -> str:
        return f"<{self.function.name}(*) as ({', '.join(self.names)})>"
