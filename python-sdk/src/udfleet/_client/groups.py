"""The functions with keyed state that streams of groups run: made of the aggregate functions that they call."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._packing.definition import build, config_text
from .._packing.shipment import Shipment
from .._proto.udfleet.v1 import function_pb2
from ..declaration.group import GroupWrapper
from ..environment import Environment
from ..errors import FunctionNotFoundError, InvalidPlanError
from .registration import DEFAULT_SECONDS, submit, to_stderr

if TYPE_CHECKING:
    from .._rpc import Rpc
    from .._state.group_spec import GroupSpec
    from ..types import DataType

_SHARED = ("environment", "labels", "resources", "variables", "secrets", "job_parameters")
"""What a function of groups has of those that it calls, which have to agree."""
_OWN = (*_SHARED, "pickle_support", "job")
"""What it has of the first of them."""


def group_function(
    rpc: Rpc,
    spec: GroupSpec,
    functions: Sequence[function_pb2.FunctionDefinition],
    input_types: Sequence[DataType],
    result_type: DataType,
    partitions: int | None,
    config: Mapping[str, Any],
) -> str:
    """The name of the function that runs these groups, which is registered where the fleet does not have it yet.

    The name follows from what is computed, and not from versions: where a function that is called is registered anew,
    this one gets a further version, too.
    """
    names = [function.name for function in functions]
    identity = "\n".join([spec.text(), *names, *map(str, input_types), str(result_type), str(partitions)])
    called = names[0] if names else spec.calls[0].name if spec.calls else "keys"
    name = f"{called[:80]}-groups-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    shipment = Shipment()
    wrapper = GroupWrapper(spec, input_types, result_type, name)
    settings = {key: config_text(value) for key, value in config.items()}
    definition = build(name, wrapper, Environment(), settings, {}, "", shipment, partitions=partitions)
    definition.source, definition.doc = identity, f"groups of a stream: {', '.join(names) or called}"
    for function in functions:
        _join(definition, function, function is functions[0])
    known = _known(rpc, name)
    if known is None or _differ(known, definition):
        submit(rpc, definition, shipment, to_stderr, DEFAULT_SECONDS)
    return name


def _join(
    definition: function_pb2.FunctionDefinition, function: function_pb2.FunctionDefinition, is_first: bool
) -> None:
    """The definition calls this function, too, in interpreters such as those that serve it."""
    if is_first:
        for field in _OWN:
            definition.ClearField(field)
        definition.MergeFrom(function_pb2.FunctionDefinition(**{field: getattr(function, field) for field in _OWN}))
    unlike = [field for field in _SHARED if getattr(definition, field) != getattr(function, field)]
    if unlike:
        raise InvalidPlanError(
            f"{function.name} has other {unlike[0]} than the functions that it is aggregated with",
            hint="register them with the same, or open a stream for each",
        )
    if is_first:
        definition.config.clear()
        definition.config.update(function.config)
    elif definition.config != function.config:
        raise InvalidPlanError(
            f"{function.name} has another configuration than the functions that it is aggregated with",
            hint="register them with the same one, or open a stream for each",
        )
    definition.payload_python = definition.payload_python or function.payload_python
    definition.parts.append(function.payload)
    for file, text in function.source_files.items():
        definition.source_files[file] = text


def _known(rpc: Rpc, name: str) -> function_pb2.FunctionDefinition | None:
    try:
        return rpc.describe(name).definition
    except FunctionNotFoundError:
        return None


def _differ(known: function_pb2.FunctionDefinition, wanted: function_pb2.FunctionDefinition) -> bool:
    """Whether state would not be that of the groups, or they run in another way. A payload alone may differ: another
    release of this package writes it.
    """
    configured = all(known.config.get(key) == value for key, value in wanted.config.items())
    return not configured or any(getattr(known, field) != getattr(wanted, field) for field in ("parts", *_SHARED))
