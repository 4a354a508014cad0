"""Plain functions that are written as methods: `def split(self, x)`, as FLIP-58 has it."""

from __future__ import annotations

from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Self:
    """What such a function gets as `self`: an object to keep things on, one per interpreter."""


def bind_self(func: Any, input_types: list[Any] | None) -> Any:
    """Gives a function its `self`, where its first parameter is that and has no declared type."""
    if type(func) is not FunctionType or input_types is None:
        return func
    code = func.__code__
    names = code.co_varnames[: code.co_argcount]
    return MethodType(func, Self()) if names[:1] == ("self",) and len(names) == len(input_types) + 1 else func
