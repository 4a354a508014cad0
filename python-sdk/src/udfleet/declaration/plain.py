"""Function objects that nobody declared: their class says what they are. Runs on a bare Python."""

from __future__ import annotations

from ..functions import AggregateFunction, TableAggregateFunction, TableFunction, UserDefinedFunction
from .aggregate import UserDefinedAggregateFunctionWrapper, udaf
from .scalar import UserDefinedScalarFunctionWrapper
from .table import udtf
from .wrapper import UserDefinedFunctionWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declared(function: UserDefinedFunction) -> UserDefinedFunctionWrapper[..., Any]:
    """The object as `udf` or one of its like would declare it; types come from its annotations and methods.

    :raises TypeError: they do not say the result type.
    """
    if isinstance(function, AggregateFunction):
        return udaf(function)
    if isinstance(function, TableAggregateFunction):
        return UserDefinedAggregateFunctionWrapper(function, None, None, table=True)
    if isinstance(function, TableFunction):
        return udtf(function)
    return UserDefinedScalarFunctionWrapper(function, None, None)
