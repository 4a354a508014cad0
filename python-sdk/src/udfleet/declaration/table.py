"""`udtf`: declares a table function. Runs on a bare Python."""

from __future__ import annotations

from ..functions import TableFunction
from .declared_types import result_types as declared_results
from .wrapper import P, R, UserDefinedFunctionWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, overload

    from .declared_types import TypesLike

    class TableDecorator(Protocol):
        """What `@udtf(...)` gives: it keeps the function's own signature."""

        @overload
        def __call__(
            self, func: type[TableFunction] | TableFunction, /
        ) -> UserDefinedTableFunctionWrapper[..., Any]: ...

        @overload
        def __call__(self, func: Callable[P, R], /) -> UserDefinedTableFunctionWrapper[P, R]: ...

else:

    def overload(function: Any) -> Any:
        """Stands in for typing.overload: importing typing costs milliseconds."""
        return function


class UserDefinedTableFunctionWrapper(UserDefinedFunctionWrapper[P, R]):
    """A declared table function."""

    kind = "table"
    base = (TableFunction,)

    def __init__(
        self,
        func: Any,
        input_types: Any,
        result_types: Any,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(func, input_types, deterministic, name, result_is_declared=result_types is not None)
        self._refuse_asynchronous()
        self.result_type = declared_results(result_types, self.__wrapped__, "udtf")


@overload
def udtf(
    f: None = None,
    input_types: TypesLike | None = None,
    result_types: TypesLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
) -> TableDecorator: ...


@overload
def udtf(
    f: type[TableFunction] | TableFunction,
    input_types: TypesLike | None = None,
    result_types: TypesLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
) -> UserDefinedTableFunctionWrapper[..., Any]: ...


@overload
def udtf(
    f: Callable[P, R],
    input_types: TypesLike | None = None,
    result_types: TypesLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
) -> UserDefinedTableFunctionWrapper[P, R]: ...


def udtf(
    f: Any = None,
    input_types: Any = None,
    result_types: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
) -> Any:
    """Declares a table function, as a call or as a decorator, with or without parentheses.

    For each row it gives any number of rows: those of a generator, list or range. A tuple or Row is one row, None is
    none, and anything else is one row with that value.

    :param f: a function, lambda, partial, callable object, TableFunction instance or class; None for the decorator.
    :param input_types: a type or a list of them, each a DataType, SQL text, Python type or Arrow type; None: those of
        the annotations, or any columns where there are none.
    :param result_types: of its columns: a type, a list of types, or a ROW, which names them; None: the return
        annotation says it, as in `Iterator[str]` or `Iterator[tuple[str, int]]`.
    :param deterministic: None: True, or what the TableFunction says.
    :param name: None: the function's own.
    """
    if f is None:
        return lambda func: UserDefinedTableFunctionWrapper(func, input_types, result_types, deterministic, name)
    return UserDefinedTableFunctionWrapper(f, input_types, result_types, deterministic, name)
