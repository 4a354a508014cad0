"""What all declarations have in common. Runs on a bare Python."""

from __future__ import annotations

import sys

from ..functions import UserDefinedFunction
from .asynchronous import is_asynchronous
from .declared_types import input_types as listed_types
from .selves import bind_self

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..table.expression import Named
    from ..types import DataType

FUNC_TYPES = ("general", "pandas", "arrow")


class UserDefinedFunctionWrapper:
    """A declared function. Called with plain values it runs here, with expressions it makes one."""

    kind = ""
    """`scalar`, `table`, `aggregate` or `table_aggregate`."""
    base: tuple[type, ...] = ()
    """Classes that instances of functions may have."""
    merges = False
    accumulator_type: DataType | None = None

    def __init__(
        self, func: Any, input_types: Any, deterministic: bool | None, name: str | None, func_type: str = "general"
    ) -> None:
        check_func_type(func_type)
        if isinstance(func, UserDefinedFunctionWrapper):
            raise TypeError(f"{func.name!r} is declared with {func.factory}() already")
        if isinstance(func, type):
            func = func()
        self._check_class(func)
        self.input_types: list[DataType] | None = listed_types(input_types)
        self.name: str = _name(func) if name is None else name
        self.func = bind_self(func, self.input_types)
        self.asynchronous = is_asynchronous(self.func)
        self.deterministic = _deterministic(func, deterministic)
        self.func_type = func_type
        named = func if hasattr(func, "__qualname__") else type(func)
        self.__module__ = named.__module__
        self.__qualname__ = named.__qualname__
        self.__name__ = self.name
        self.__doc__ = getattr(func, "__doc__", None)
        self.__wrapped__ = func

    result_type: DataType

    @property
    def factory(self) -> str:
        """The name of the function that made this: `udf`, `udtf`, `udaf` or `udtaf`."""
        return {"scalar": "udf", "table": "udtf", "aggregate": "udaf", "table_aggregate": "udtaf"}[self.kind]

    def _check_class(self, func: Any) -> None:
        if not isinstance(func, UserDefinedFunction) and not callable(func):
            raise TypeError(f"not a function: {func!r} is neither callable nor of class {self.base[0].__name__}")
        if isinstance(func, UserDefinedFunction) and not isinstance(func, self.base):
            names = " or ".join(base.__name__ for base in self.base)
            raise TypeError(f"{self.factory}() takes objects of class {names}, not of {type(func).__name__}")

    def _refuse_asynchronous(self) -> None:
        if self.asynchronous:
            raise TypeError(f"{self.name!r} is `async def`: only general scalar functions can be, use `def`")

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function here, in this process."""
        call: Any = self.func
        if isinstance(self.func, UserDefinedFunction):
            call = getattr(self.func, "eval")  # noqa: B009 - kinds without it have a run() of their own
        return call(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """With an expression among the arguments: a call of the function, for a plan. Else runs it here."""
        # Where no expression was ever made, its module is not even imported.
        made = sys.modules.get("udfleet.table.expression")
        if made is not None and any(isinstance(arg, made.Expression) for arg in args):
            return made.call(self, *args, **kwargs)
        return self.run(*args, **kwargs)

    def alias(self, *names: str) -> Named:
        """The function over the whole row, with names for its columns: for map, flat_map, aggregate, flat_aggregate."""
        from ..table.expression import Call

        return Call(self, (), takes_row=True).alias(*names)

    def __repr__(self) -> str:
        inputs = "..." if self.input_types is None else ", ".join(map(str, self.input_types))
        return f"<{self.factory} {self.name}({inputs}) -> {self.result_type}, {self.func_type}>"


def check_func_type(func_type: str, allowed: tuple[str, ...] = FUNC_TYPES) -> None:
    """Refuses what is none of them."""
    if func_type not in allowed:
        raise ValueError(f"func_type must be one of {', '.join(allowed)}, not {func_type!r}")


def _name(func: Any) -> str:
    name = getattr(func, "__name__", None)
    return name if isinstance(name, str) else type(func).__name__


def _deterministic(func: Any, given: bool | None) -> bool:
    own = func.is_deterministic() if isinstance(func, UserDefinedFunction) else None
    if given is None:
        return True if own is None else bool(own)
    if own is not None and bool(own) != given:
        raise ValueError(
            f"deterministic={given} contradicts {type(func).__name__}.is_deterministic(), which says {own}"
        )
    return bool(given)
