"""`udaf` and `udtaf`: declare aggregate functions. Runs on a bare Python."""

from __future__ import annotations

from ..functions import (
    AggregateFunction,
    ImperativeAggregateFunction,
    TableAggregateFunction,
)
from . import declared_types as declared
from .vectorized import VectorizedAggregate
from .wrapper import UserDefinedFunctionWrapper, check_func_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, overload

    from ..types.coerce import TypeLike
    from .declared_types import TypesLike
else:

    def overload(function: Any) -> Any:
        """Stands in for typing.overload: importing typing costs milliseconds."""
        return function


class UserDefinedAggregateFunctionWrapper(UserDefinedFunctionWrapper):
    """A declared aggregate or table aggregate function."""

    def __init__(
        self,
        func: Any,
        input_types: Any,
        result_type: Any,
        accumulator_type: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
        func_type: str = "general",
        table: bool = False,
    ) -> None:
        self.kind = "table_aggregate" if table else "aggregate"
        self.base = (TableAggregateFunction,) if table else (AggregateFunction,)
        super().__init__(func, input_types, deterministic, name, func_type, result_type is not None)
        self._refuse_asynchronous()
        own: Any = self.func
        if func_type == "general":
            if not isinstance(own, ImperativeAggregateFunction):
                wanted = self.base[0].__name__
                hint = "" if table else '; plain functions can be aggregates with func_type="pandas" or "arrow"'
                raise TypeError(f"{self.name!r}: a general {self.factory}() takes a subclass of {wanted}{hint}")
            self.merges = type(own).merge is not ImperativeAggregateFunction.merge
        elif isinstance(own, ImperativeAggregateFunction):
            self.func = VectorizedAggregate(own)
        self._declare_types(own, result_type, accumulator_type)

    def _declare_types(self, own: Any, result: Any, accumulator: Any) -> None:
        cls = type(own)
        if result is None and getattr(cls, "get_result_type", None) not in (
            None,
            ImperativeAggregateFunction.get_result_type,
        ):
            result = own.get_result_type()
        if accumulator is None and getattr(cls, "get_accumulator_type", None) not in (
            None,
            ImperativeAggregateFunction.get_accumulator_type,
        ):
            accumulator = own.get_accumulator_type()
        if self.kind == "aggregate":
            self.result_type = declared.result_type(result, own, "udaf")
        else:
            self.result_type = declared.result_types(result, own, "udtaf", "result_type")
        self.accumulator_type = declared.accumulator_type(accumulator)

    def _run(self, /, *args: Any, **kwargs: Any) -> Any:
        # Over columns: lists of values (general), Series (pandas) or arrays (arrow).
        if not isinstance(self.func, ImperativeAggregateFunction):
            return super()._run(*args, **kwargs)
        accumulator = self.func.create_accumulator()
        for row in zip(*args):
            self.func.accumulate(accumulator, *row)
        if isinstance(self.func, TableAggregateFunction):
            return list(self.func.emit_value(accumulator))
        return self.func.get_value(accumulator)  # type: ignore[attr-defined]


@overload
def udaf(
    f: None = None,
    input_types: TypesLike | None = None,
    result_type: TypeLike | None = None,
    accumulator_type: TypeLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Callable[[Any], UserDefinedAggregateFunctionWrapper]: ...


@overload
def udaf(
    f: Any,
    input_types: TypesLike | None = None,
    result_type: TypeLike | None = None,
    accumulator_type: TypeLike | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> UserDefinedAggregateFunctionWrapper: ...


def udaf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    accumulator_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """Declares an aggregate function, as a call or as a decorator: one value per group of rows.

    Types are DataTypes, SQL text, Python types or Arrow types.

    :param f: an AggregateFunction instance or class; with `pandas` and `arrow` also a function from columns to a value.
    :param input_types: a type or a list of them; None: what annotations of `accumulate` say, else any columns.
    :param result_type: a type; None: what `get_result_type` says, or the annotation of `get_value`.
    :param accumulator_type: what accumulators hold; None: what `get_accumulator_type` says, else nothing is checked.
    :param deterministic: None: True, or what the AggregateFunction says.
    :param name: None: the function's own.
    :param func_type: `general` (a row at a time), `pandas` (Series) or `arrow` (pyarrow arrays).
    """
    check_func_type(func_type)

    def declare(func: Any) -> UserDefinedAggregateFunctionWrapper:
        return UserDefinedAggregateFunctionWrapper(
            func, input_types, result_type, accumulator_type, deterministic, name, func_type
        )

    return declare if f is None else declare(f)


def udtaf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    accumulator_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """Declares a table aggregate function, as a call or as a decorator: any number of rows per group of rows.

    :param f: a TableAggregateFunction instance or class.
    :param result_type: of its columns: a type, a list of types, or a ROW, which names them; None: what
        `get_result_type` says, or the annotation of `emit_value`.
    :param func_type: must be `general`. The other parameters are those of `udaf`.
    """
    check_func_type(func_type, ("general",))

    def declare(func: Any) -> UserDefinedAggregateFunctionWrapper:
        return UserDefinedAggregateFunctionWrapper(
            func, input_types, result_type, accumulator_type, deterministic, name, table=True
        )

    return declare if f is None else declare(f)
