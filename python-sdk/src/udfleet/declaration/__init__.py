"""`udf`, `udtf`, `udaf`, `udtaf`: how functions are declared. Runs on a bare Python."""

from __future__ import annotations

from .aggregate import UserDefinedAggregateFunctionWrapper, udaf, udtaf
from .expression import AliasedFunction, PlanExpression
from .scalar import UserDefinedScalarFunctionWrapper, udf
from .table import UserDefinedTableFunctionWrapper, udtf
from .wrapper import FUNC_TYPES, UserDefinedFunctionWrapper

__all__ = [
    "FUNC_TYPES",
    "AliasedFunction",
    "PlanExpression",
    "UserDefinedAggregateFunctionWrapper",
    "UserDefinedFunctionWrapper",
    "UserDefinedScalarFunctionWrapper",
    "UserDefinedTableFunctionWrapper",
    "udaf",
    "udf",
    "udtaf",
    "udtf",
]
