"""`udf`: declares a scalar function. Runs on a bare Python."""

from __future__ import annotations

from ..functions import AsyncScalarFunction, ScalarFunction
from .declared_types import result_type as declared_result
from .wrapper import P, R, UserDefinedFunctionWrapper, check_func_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, overload

    from ..types.coerce import TypeLike
    from .declared_types import TypesLike

    class ScalarDecorator(Protocol):
        """What `@udf(...)` gives: it keeps the function's own signature."""

        @overload
        def __call__(
            self, func: type[ScalarFunction | AsyncScalarFunction] | ScalarFunction | AsyncScalarFunction, /
        ) -> UserDefinedScalarFunctionWrapper[..., Any]: ...

        @overload
        def __call__(self, func: Callable[P, R], /) -> UserDefinedScalarFunctionWrapper[P, R]: ...

else:

    def overload(function: Any) -> Any:
        """Stands in for typing.overload: importing typing costs milliseconds."""
        return function


class UserDefinedScalarFunctionWrapper(UserDefinedFunctionWrapper[P, R]):
    """A declared scalar function."""

    kind = "scalar"
    base = (ScalarFunction, AsyncScalarFunction)

    def __init__(
        self,
        func: Any,
        input_types: Any,
        result_type: Any,
        deterministic: bool | None = None,
        name: str | None = None,
        func_type: str = "general",
    ) -> None:
        super().__init__(func, input_types, deterministic, name, func_type, result_type is not None)
        if self.asynchronous and func_type != "general":
            raise ValueError(
                f"Async scalar functions do not support {func_type} func_type: {self.name!r} takes a row at a time"
            )
        self.result_type = declared_result(result_type, self.__wrapped__, "udf")


@overload
def udf(
    f: None = None,
    input_types: TypesLike | None = None,
    result_type: TypeLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> ScalarDecorator: ...


@overload
def udf(
    f: type[ScalarFunction | AsyncScalarFunction] | ScalarFunction | AsyncScalarFunction,
    input_types: TypesLike | None = None,
    result_type: TypeLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> UserDefinedScalarFunctionWrapper[..., Any]: ...


@overload
def udf(
    f: Callable[P, R],
    input_types: TypesLike | None = None,
    result_type: TypeLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> UserDefinedScalarFunctionWrapper[P, R]: ...


def udf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """Declares a scalar function, as a call or as a decorator, with or without parentheses.

    :param f: a function, lambda, partial, callable object, builtin, type, `async def`, ScalarFunction or
        AsyncScalarFunction instance or class; None for the decorator.
    :param input_types: a type or a list of them, each a DataType, SQL text, Python type or Arrow type; None: those of
        the annotations, or any columns where there are none.
    :param result_type: a type; None: that of the return annotation.
    :param deterministic: None: True, or what the ScalarFunction says.
    :param name: None: the function's own.
    :param func_type: `general` (a row at a time), `pandas` (Series) or `arrow` (pyarrow arrays).
    """
    if f is None:
        check_func_type(func_type)
        return lambda func: UserDefinedScalarFunctionWrapper(
            func, input_types, result_type, deterministic, name, func_type
        )
    return UserDefinedScalarFunctionWrapper(f, input_types, result_type, deterministic, name, func_type)
