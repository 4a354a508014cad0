"""What plans have to know about functions; declarations that are used in a plan are registered by themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _fork
from .._convert.misfit import shown
from .._flight.directory import ROUTE_SECONDS
from ..declaration import UserDefinedFunctionWrapper
from ..errors import FunctionNotFoundError, InvalidInputError
from ..types import DataType
from ..types.arrow import from_arrow
from .arguments import text
from .views import FunctionView

if TYPE_CHECKING:
    import pyarrow as pa

    from .._proto.udfleet.v1 import plan_pb2


_PLANS = 256
"""The most plans whose columns are remembered."""


class FleetFunctions:
    """The functions of one fleet, as plans see them. Thread-safe."""

    def __init__(
        self,
        describe: Callable[[str], FunctionView],
        register: Callable[[UserDefinedFunctionWrapper], FunctionView],
        schema: Callable[[plan_pb2.Plan], pa.Schema],
    ) -> None:
        self._ask = describe
        self._register = register
        self._schema = schema
        self._column_types: dict[bytes, tuple[float, list[DataType]]] = {}
        self._lock = threading.Lock()
        self._inline: dict[UserDefinedFunctionWrapper, str] = {}
        self._registered: dict[UserDefinedFunctionWrapper[..., Any], str] = {}
        self._views: dict[str, tuple[float, FunctionView]] = {}
        self._unknown: dict[str, float] = {}
        """Names of which plans were told that there is no such function, and how long that is believed."""

    def refer(self, function: Any) -> str:
        """The name of a function; a declaration is registered when it is used first, under a name of its content."""
        if isinstance(function, str):
            return function
        _fork.check()
        with self._lock:
            name = self._inline.get(function)
            if name is None:
                name = self._inline[function] = self._register(function).name
            return name

    def remember(self, function: UserDefinedFunctionWrapper[..., Any], reference: str) -> None:
        """A declaration was registered: that version is what it means from now on."""
        with self._lock:
            self._registered[function] = reference

    def forget_dropped(self, dropped: list[str]) -> None:
        """Versions that were dropped are meant by no declaration any more."""
        with self._lock:
            self._registered = {f: name for f, name in self._registered.items() if name not in dropped}

    def callable_name(self, function: Any) -> str:
        """What `call` and its like are given, as a name.

        :raises InvalidInputError: it is neither a name nor a declaration.
        """
        if isinstance(function, str):
            return text(function, "the name of a function")
        if not isinstance(function, UserDefinedFunctionWrapper):
            raise InvalidInputError(
                f"a function is called by its name, or as what udf() returns; {shown(function)} is neither",
                hint='fleet.register_function("name", udf(f, ...)), then fleet.call("name", ...)',
            )
        with self._lock:
            registered = self._registered.get(function)
        return registered or self.refer(function)

    def kind(self, function: Any) -> str:
        """`scalar`, `table`, `aggregate` or `table_aggregate`; "" for an unknown function."""
        if isinstance(function, UserDefinedFunctionWrapper):
            return function.kind
        view = self._known(function)
        return "" if view is None else view.kind

    def result_type(self, function: Any) -> DataType | None:
        """Its result type; None for an unknown function."""
        if isinstance(function, UserDefinedFunctionWrapper):
            return function.result_type
        view = self._known(function)
        return None if view is None else view.result_type

    def is_deterministic(self, function: Any) -> bool:
        """Whether it gives the same for the same arguments; so it is of an unknown function."""
        if isinstance(function, UserDefinedFunctionWrapper):
            return function.deterministic
        view = self._known(function)
        return view is None or view.deterministic

    def column_types(self, plan: plan_pb2.Plan) -> list[DataType]:
        """The types of the columns that a plan gives; what it said a moment ago is used again."""
        key = plan.SerializeToString(deterministic=True)
        now = time.monotonic()
        known = self._column_types.get(key)
        if known is not None and now < known[0]:
            return known[1]
        fields = self._schema(plan)
        found = [from_arrow(field.type, f"column {field.name!r}", field.nullable) for field in fields]
        if len(self._column_types) >= _PLANS:
            self._column_types.clear()
        self._column_types[key] = (now + ROUTE_SECONDS, found)
        return found

    def _known(self, name: str) -> FunctionView | None:
        # The coordinator tells of unknown functions better: it knows the expression.
        now = time.monotonic()
        if now < self._unknown.get(name, 0.0):
            return None
        try:
            return self.describe(name)
        except FunctionNotFoundError:
            if len(self._unknown) >= _PLANS:
                self._unknown.clear()
            self._unknown[name] = now + ROUTE_SECONDS
            return None

    def describe(self, name: str) -> FunctionView:
        """One function, as it was a moment ago at the earliest."""
        now = time.monotonic()
        known = self._views.get(name)
        if known is not None and now < known[0]:
            return known[1]
        view = self._ask(name)
        self._views[name] = (now + ROUTE_SECONDS, view)
        return view

    def forget(self) -> None:
        """Clears the cache: functions were registered or dropped."""
        self._views.clear()
        self._unknown.clear()
        self._column_types.clear()

    def forget_inline(self) -> None:
        """Declarations are registered again when they are used, because they were dropped."""
        with self._lock:
            self._inline.clear()
        self.forget()
