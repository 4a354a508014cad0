"""What all declarations have in common. Runs on a bare Python."""

from __future__ import annotations

from contextvars import ContextVar

from ..functions import UserDefinedFunction
from ..types.datatype import shortened
from .asynchronous import is_asynchronous
from .declared_types import input_types as listed_types
from .expression import AliasedFunction, ConstantCalls, PlanExpression
from .selves import bind_self

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, overload

    from typing_extensions import ParamSpec, TypeVar

    from ..types import DataType

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
    E = TypeVar("E", bound=PlanExpression)

    class Signature(Generic[P, R]):
        """The parameters and the result of the function that was declared."""

else:
    # Importing typing costs milliseconds.
    P = R = None

    class Signature:
        """Stands in for a generic class."""

        def __class_getitem__(cls, parameters: Any) -> type:
            return cls


_RUNNING: ContextVar[bool] = ContextVar("udfleet_running", default=False)
"""Whether a declared function runs in this process: what it calls is run too."""

FUNC_TYPES = ("general", "pandas", "arrow")


class UserDefinedFunctionWrapper(Signature[P, R]):
    """A declared function. Called with plain values it runs here, with expressions it makes one."""

    kind = ""
    """`scalar`, `table`, `aggregate` or `table_aggregate`."""
    base: tuple[type, ...] = ()
    """Classes that instances of functions may have."""
    merges = False
    keyed = False
    """Whether it keeps state for each key."""
    accumulator_type: DataType | None = None

    def __init__(
        self,
        func: Any,
        input_types: Any,
        deterministic: bool | None,
        name: str | None,
        func_type: str = "general",
        result_is_declared: bool = True,
    ) -> None:
        check_func_type(func_type)
        if isinstance(func, UserDefinedFunctionWrapper):
            raise TypeError(f"{func.name!r} is declared with {func.factory}() already")
        if isinstance(func, type):
            func = _instance(func)
        self._check_class(func)
        self.name: str = _name(func) if name is None else name
        self.input_types: list[DataType] | None = listed_types(input_types, func, lenient=result_is_declared)
        self.func = bind_self(func, self.input_types)
        self.asynchronous = is_asynchronous(self.func)
        self.deterministic = _deterministic(func, deterministic)
        self.func_type = func_type
        named = func if hasattr(func, "__qualname__") else type(func)
        # Methods of builtin types have no module, functions of exec() None.
        self.__module__ = getattr(named, "__module__", None) or "builtins"
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
            raise TypeError(f"not a function: {func!r:.100} is neither callable nor of class {self.base[0].__name__}")
        if isinstance(func, UserDefinedFunction) and not isinstance(func, self.base):
            names = " or ".join(base.__name__ for base in self.base)
            raise TypeError(f"{self.factory}() takes objects of class {names}, not of {type(func).__name__}")

    def _refuse_asynchronous(self) -> None:
        if self.asynchronous:
            raise TypeError(f"{self.name!r} is `async def`: only general scalar functions can be, use `def`")

    def run(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function here, in this process."""
        token = _RUNNING.set(True)
        try:
            return self._run(*args, **kwargs)  # type: ignore[no-any-return]
        finally:
            _RUNNING.reset(token)

    def _run(self, /, *args: Any, **kwargs: Any) -> Any:
        call: Any = self.func
        if isinstance(self.func, UserDefinedFunction):
            call = getattr(self.func, "eval")  # noqa: B009 - kinds without it have a _run() of their own
        return call(*args, **kwargs)

    if TYPE_CHECKING:

        @overload
        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...

        @overload
        def __call__(self, first: E, /, *arguments: Any) -> E: ...

        @overload
        def __call__(self, first: Any, second: E, /, *arguments: Any) -> E: ...

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """With an expression among the arguments: a call of the function, for a plan. Else runs it here.

        Once there are tables, what is not deterministic gives a call without expressions too, for its value is another
        one for each row. `run` runs it here, and so does a call by a function that runs here.
        """
        for argument in args:
            if isinstance(argument, PlanExpression):
                if kwargs:
                    raise TypeError(f"{self.name!r}: calls in plans take no keyword arguments")
                return argument._call(self, args)
        if not (self.deterministic or kwargs or _RUNNING.get()) and ConstantCalls.make is not None:
            return ConstantCalls.make(self, args)
        return self.run(*args, **kwargs)

    def alias(self, *names: str) -> AliasedFunction:
        """The function over the whole row, with names for its columns: for map, flat_map, aggregate, flat_aggregate."""
        return AliasedFunction(self, names)

    def __repr__(self) -> str:
        inputs = "..." if self.input_types is None else ", ".join(map(str, self.input_types))
        signature = shortened(f"({inputs}) -> {self.result_type}")
        return f"<{self.factory} {self.name}{signature}, {self.func_type}>"


def check_func_type(func_type: str, allowed: tuple[str, ...] = FUNC_TYPES) -> None:
    """Refuses what is none of them."""
    if func_type not in allowed:
        raise ValueError(f"func_type must be one of {', '.join(allowed)}, not {func_type!r}")


def _instance(cls: type) -> Any:
    """An instance of a class whose instances are called; `float` and its like are functions themselves."""
    if issubclass(cls, UserDefinedFunction) or any("__call__" in vars(base) for base in cls.__mro__):
        return cls()
    for method, base in (("eval", "ScalarFunction or TableFunction"), ("accumulate", "AggregateFunction")):
        if hasattr(cls, method):
            raise TypeError(f"class {cls.__qualname__} has {method}() and is no function: make it a subclass of {base}")
    return cls


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
