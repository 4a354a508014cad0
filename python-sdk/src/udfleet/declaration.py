"""`udf`: declares a scalar function. Runs on a bare Python."""

from __future__ import annotations

from .functions import ScalarFunction, UserDefinedFunction
from .types import DataType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Union

    TypeLike = Union[DataType, str]

FUNC_TYPES = ("general", "pandas", "arrow")
_CO_ASYNC = 0x80 | 0x200
"""inspect.CO_COROUTINE and CO_ASYNC_GENERATOR: importing inspect costs 10 ms."""


class UserDefinedScalarFunctionWrapper:
    """A declared scalar function. Called with plain values it runs the function here, which suits unit tests."""

    def __init__(
        self,
        func: Any,
        input_types: TypeLike | Sequence[TypeLike] | None,
        result_type: TypeLike | None,
        deterministic: bool | None,
        name: str | None,
        func_type: str,
    ) -> None:
        if func_type not in FUNC_TYPES:
            raise ValueError(f"func_type must be one of {', '.join(FUNC_TYPES)}, not {func_type!r}")
        if isinstance(func, type):
            func = func()
        if not isinstance(func, UserDefinedFunction) and not callable(func):
            raise TypeError(f"not a function: {func!r} is neither callable nor a ScalarFunction")
        if isinstance(func, UserDefinedFunction) and not isinstance(func, ScalarFunction):
            raise TypeError(f"udf() takes a ScalarFunction, not a {type(func).__name__}")
        if isinstance(func, UserDefinedScalarFunctionWrapper):
            raise TypeError(f"{func.name!r} is declared with udf() already")
        self.func = func
        self.name: str = _name(func) if name is None else name
        _refuse_async(func, self.name)
        self.input_types = _input_types(input_types)
        self.result_type = _result_type(result_type)
        self.deterministic = _deterministic(func, deterministic)
        self.func_type = func_type
        named = func if hasattr(func, "__qualname__") else type(func)
        self.__module__ = named.__module__
        self.__qualname__ = named.__qualname__
        self.__name__ = self.name
        self.__doc__ = getattr(func, "__doc__", None)
        self.__wrapped__ = func

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function here, in this process."""
        call = self.func.eval if isinstance(self.func, ScalarFunction) else self.func
        return call(*args, **kwargs)

    def __repr__(self) -> str:
        inputs = "..." if self.input_types is None else ", ".join(map(str, self.input_types))
        return f"<udf {self.name}({inputs}) -> {self.result_type}, {self.func_type}>"


def _name(func: Any) -> str:
    name = getattr(func, "__name__", None)
    return name if isinstance(name, str) else type(func).__name__


def _refuse_async(func: Any, name: str) -> None:
    call = func.eval if isinstance(func, ScalarFunction) else func
    while hasattr(call, "func"):  # functools.partial
        call = call.func
    code = getattr(call, "__code__", None)
    if code is None:
        code = getattr(getattr(type(call), "__call__", None), "__code__", None)  # noqa: B004
    if code is not None and code.co_flags & _CO_ASYNC:
        raise TypeError(f"{name!r} is `async def`: asynchronous functions are not supported, use `def`")


def _type(value: Any, what: str) -> DataType:
    if isinstance(value, DataType):
        return value
    if isinstance(value, str):
        from .types.sql import parse

        return parse(value)
    raise TypeError(f"{what} must be a DataType or SQL text, not {value!r}")


def _input_types(given: Any) -> list[DataType] | None:
    if given is None:
        return None
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    return [_type(item, "an input type") for item in listed]


def _result_type(given: Any) -> DataType:
    if given is None:
        raise TypeError("result_type is missing: udf(..., result_type=DataTypes.BIGINT())")
    return _type(given, "result_type")


def _deterministic(func: Any, given: bool | None) -> bool:
    own = func.is_deterministic() if isinstance(func, UserDefinedFunction) else None
    if given is None:
        return True if own is None else bool(own)
    if own is not None and bool(own) != given:
        raise ValueError(
            f"deterministic={given} contradicts {type(func).__name__}.is_deterministic(), which says {own}"
        )
    return bool(given)


if TYPE_CHECKING:
    from typing import overload
else:

    def overload(function: Any) -> Any:
        """Stands in for typing.overload: importing typing costs milliseconds."""
        return function


@overload
def udf(
    f: None = None,
    input_types: TypeLike | Sequence[TypeLike] | None = None,
    result_type: TypeLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Callable[[Any], UserDefinedScalarFunctionWrapper]: ...


@overload
def udf(
    f: Any,
    input_types: TypeLike | Sequence[TypeLike] | None = None,
    result_type: TypeLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> UserDefinedScalarFunctionWrapper: ...


def udf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """Declares a scalar function, as a call or as a decorator.

    :param f: a function, lambda, partial, callable object, ScalarFunction instance or class; None for the decorator.
    :param input_types: a type or a list of them, each a DataType or SQL text; None takes any columns.
    :param result_type: a DataType or SQL text; required.
    :param deterministic: None: True, or what the ScalarFunction says.
    :param name: None: the function's own.
    :param func_type: `general` (a row at a time), `pandas` (Series) or `arrow` (pyarrow arrays).
    """
    if f is None:
        if func_type not in FUNC_TYPES:
            raise ValueError(f"func_type must be one of {', '.join(FUNC_TYPES)}, not {func_type!r}")

        def declare(func: Any) -> UserDefinedScalarFunctionWrapper:
            return UserDefinedScalarFunctionWrapper(func, input_types, result_type, deterministic, name, func_type)

        return declare
    return UserDefinedScalarFunctionWrapper(f, input_types, result_type, deterministic, name, func_type)
