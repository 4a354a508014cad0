"""`udf`, `udtf`, `udaf`, `udtaf`: how functions are declared. Runs on a bare Python."""

from __future__ import annotations

from .aggregate import UserDefinedAggregateFunctionWrapper, udaf, udtaf
from .expression import AliasedFunction, ConstantCalls, PlanExpression
from .plain import declared
from .scalar import UserDefinedScalarFunctionWrapper, udf
from .table import UserDefinedTableFunctionWrapper, udtf
from .wrapper import FUNC_TYPES, UserDefinedFunctionWrapper

__all__ = [
    "FUNC_TYPES",
    "AliasedFunction",
    "ConstantCalls",
    "PlanExpression",
    "UserDefinedAggregateFunctionWrapper",
    "UserDefinedFunctionWrapper",
    "UserDefinedScalarFunctionWrapper",
    "UserDefinedTableFunctionWrapper",
    "declared",
    "udaf",
    "udf",
    "udtaf",
    "udtf",
]
