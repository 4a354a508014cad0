"""A registration: pack, send, wait until the function can be called."""

from __future__ import annotations

import hashlib
import re
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import _failures
from .._convert.misfit import shown
from .._packing.definition import build
from .._packing.shipment import Shipment
from .._proto.udfleet.v1 import fleet_pb2, function_pb2
from .._rpc import Rpc
from .._terminal import visible
from ..declaration import UserDefinedFunctionWrapper, declared
from ..environment import Environment
from ..errors import InternalError, InvalidDefinitionError
from ..functions import UserDefinedFunction
from .views import FunctionView, function_view

OnEvent = Callable[[str], None]

_GRACE_SECONDS = 30.0
"""How much longer than the coordinator's timeout the client waits, so that it gets the typed error."""
DEFAULT_SECONDS = 600.0


def to_stderr(line: str) -> None:
    """Tells people at a terminal what is going on; programs are left alone."""
    if sys.stderr.isatty():
        print(visible(line), file=sys.stderr)


def _content_name(name: str, definition: function_pb2.FunctionDefinition) -> str:
    digest = hashlib.sha256(definition.SerializeToString(deterministic=True)).hexdigest()
    plain = re.sub(r"\W", "", name).lstrip("0123456789") or "function"
    return f"{plain[:80]}-{digest[:12]}"


def _declared(function: UserDefinedFunction, name: str | None) -> UserDefinedFunctionWrapper[..., Any]:
    try:
        return declared(function)
    except (TypeError, ValueError) as error:
        raise InvalidDefinitionError(str(error), function=name, hint="declare it with @udf(...)") from None


def register(
    rpc: Rpc,
    name: str | None,
    f: Any,
    environment: Environment | None,
    config: Mapping[str, Any],
    job_parameters: Mapping[str, Any],
    job: str,
    timeout: float | None = None,
    on_event: OnEvent | None = None,
    on_error: str | None = None,
    labels: Mapping[str, str] | None = None,
    resources: Mapping[str, int] | None = None,
    secrets: Sequence[str] = (),
    partitions: int | None = None,
) -> FunctionView:
    """Registers a declared function; returns when it can be called or raises why it can't.

    :param name: None: one that follows from its content, so that the same function has the same name again.
    """
    if isinstance(f, UserDefinedFunction):
        f = _declared(f, name)
    if not isinstance(f, UserDefinedFunctionWrapper):
        raise InvalidDefinitionError(
            f"register_function() takes what udf() and its like return, not {shown(f)}",
            function=name,
            hint="declare it with @udf(...)",
        )
    report = on_event or to_stderr
    seconds = DEFAULT_SECONDS if timeout is None else timeout
    shipment = Shipment()
    definition = build(
        name or "",
        f,
        environment or Environment(),
        config,
        job_parameters,
        job,
        shipment,
        on_error,
        labels,
        resources,
        secrets,
        partitions,
    )
    if name is None:
        definition.name = _content_name(f.name, definition)
    return submit(rpc, definition, shipment, report, seconds)


def submit(
    rpc: Rpc, definition: function_pb2.FunctionDefinition, shipment: Shipment, report: OnEvent, seconds: float
) -> FunctionView:
    """Sends a definition with its artifacts; returns when the function can be called or raises why it can't."""
    shipment.send(rpc, report, seconds)
    request = fleet_pb2.RegisterFunctionRequest(
        definition=definition, timeout_ms=max(1, int(seconds * 1000)), request_id=uuid.uuid4().hex
    )
    for event in rpc.register(request, seconds + _GRACE_SECONDS):
        kind = event.WhichOneof("kind")
        if kind == "ready":
            return function_view(event.ready)
        if kind == "failed":
            raise _failures.from_info(event.failed)
        if kind == "progress":
            report(event.progress)
        elif kind == "build_log":
            report(event.build_log.line)
    raise InternalError("the coordinator ended the registration without a result", function=definition.name)
