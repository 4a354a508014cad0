"""udfleet: a fleet of machines that runs Python functions for data engines.

Importing it needs no other package and takes milliseconds; what talks to a fleet is loaded on first use.
"""

from __future__ import annotations

from .declaration import udaf, udf, udtaf, udtf
from .environment import Environment
from .errors import (
    ArtifactMissingError,
    CallTimeoutError,
    EnvironmentFailedError,
    ExecutorLostError,
    ForkedProcessError,
    FunctionNotFoundError,
    InfeasibleError,
    InternalError,
    InterpreterCrashedError,
    InvalidConfigError,
    InvalidDefinitionError,
    InvalidInputError,
    InvalidPlanError,
    LimitExceededError,
    LoadError,
    MemoryExceededError,
    NoCapacityError,
    NotPicklableError,
    PermissionDeniedError,
    ProcessExit,
    RemoteException,
    RemoteFrame,
    ResultTypeError,
    StartupError,
    UdfleetError,
    UnauthenticatedError,
    UnreachableError,
    UserCodeError,
    VersionMismatchError,
)
from .functions import (
    AggregateFunction,
    AsyncScalarFunction,
    FunctionContext,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
    UserDefinedFunction,
)
from .row import Row, RowKind
from .types import DataType, DataTypes
from .views import ListView, MapView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._client.exchange import Exchange
    from ._client.fleet import Fleet, connect
    from ._local.fleet import LocalFleet, local
    from ._replay.replaying import Replayed, replay
    from ._state.descriptors import (
        AggregatingStateDescriptor,
        ListStateDescriptor,
        MapStateDescriptor,
        ReducingStateDescriptor,
        StateTtlConfig,
        ValueStateDescriptor,
    )
    from ._state.process_function import KeyedProcessFunction, RuntimeContext
    from .declaration.keyed import keyed_process
    from .progress import BundleProgressHandler
    from .table.expression import Expression, call, col, if_then_else, lit
    from .table.expressions import and_, coalesce, concat, not_, null_of, or_
    from .table.table import Table

__version__ = "0.1.0"

_LAZY = {
    "AggregatingStateDescriptor": "._state.descriptors",
    "ListStateDescriptor": "._state.descriptors",
    "MapStateDescriptor": "._state.descriptors",
    "ReducingStateDescriptor": "._state.descriptors",
    "StateTtlConfig": "._state.descriptors",
    "ValueStateDescriptor": "._state.descriptors",
    "KeyedProcessFunction": "._state.process_function",
    "RuntimeContext": "._state.process_function",
    "keyed_process": ".declaration.keyed",
    "BundleProgressHandler": ".progress",
    "Exchange": "._client.exchange",
    "Expression": ".table.expression",
    "Fleet": "._client.fleet",
    "LocalFleet": "._local.fleet",
    "Table": ".table.table",
    "call": ".table.expression",
    "or_": ".table.expressions",
    "null_of": ".table.expressions",
    "not_": ".table.expressions",
    "concat": ".table.expressions",
    "coalesce": ".table.expressions",
    "and_": ".table.expressions",
    "col": ".table.expression",
    "connect": "._client.fleet",
    "if_then_else": ".table.expression",
    "lit": ".table.expression",
    "local": "._local.fleet",
    "replay": "._replay.replaying",
    "Replayed": "._replay.replaying",
}

__all__ = [
    "AggregateFunction",
    "AggregatingStateDescriptor",
    "ArtifactMissingError",
    "AsyncScalarFunction",
    "BundleProgressHandler",
    "CallTimeoutError",
    "DataType",
    "DataTypes",
    "Environment",
    "EnvironmentFailedError",
    "Exchange",
    "ExecutorLostError",
    "Expression",
    "Fleet",
    "ForkedProcessError",
    "FunctionContext",
    "FunctionNotFoundError",
    "InfeasibleError",
    "InternalError",
    "InterpreterCrashedError",
    "InvalidConfigError",
    "InvalidDefinitionError",
    "InvalidInputError",
    "InvalidPlanError",
    "KeyedProcessFunction",
    "LimitExceededError",
    "ListStateDescriptor",
    "ListView",
    "LoadError",
    "LocalFleet",
    "MapStateDescriptor",
    "MapView",
    "MemoryExceededError",
    "NoCapacityError",
    "NotPicklableError",
    "PermissionDeniedError",
    "ProcessExit",
    "ReducingStateDescriptor",
    "RemoteException",
    "RemoteFrame",
    "Replayed",
    "ResultTypeError",
    "Row",
    "RowKind",
    "RuntimeContext",
    "ScalarFunction",
    "StartupError",
    "StateTtlConfig",
    "Table",
    "TableAggregateFunction",
    "TableFunction",
    "UdfleetError",
    "UnauthenticatedError",
    "UnreachableError",
    "UserCodeError",
    "UserDefinedFunction",
    "ValueStateDescriptor",
    "VersionMismatchError",
    "__version__",
    "and_",
    "call",
    "coalesce",
    "col",
    "concat",
    "connect",
    "if_then_else",
    "keyed_process",
    "lit",
    "local",
    "not_",
    "null_of",
    "or_",
    "replay",
    "udaf",
    "udf",
    "udtaf",
    "udtf",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'udfleet' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
