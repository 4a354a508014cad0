"""What tenants have, do and may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .._proto.udfleet.v1 import cluster_pb2, fleet_pb2
from .._rpc import Rpc


@dataclass(frozen=True)
class TenantLimits:
    """How much a tenant may use; None: any amount."""

    functions: int | None
    artifact_bytes: int | None
    environments: int | None
    streams: int | None
    rows_per_second: int | None


@dataclass(frozen=True)
class TenantView:
    """A tenant, as the coordinator sees it that was asked.

    :ivar functions: registered versions of functions.
    :ivar environments: that these run in.
    :ivar artifact_bytes: of the files that these need.
    :ivar streams: open at this coordinator.
    :ivar rows: received by this coordinator since it was started.
    :ivar refused: requests and streams that it has refused since then because of a limit.
    """

    tenant: str
    limits: TenantLimits
    functions: int
    environments: int
    artifact_bytes: int
    streams: int
    rows: int
    refused: int


def listed(rpc: Rpc) -> Iterator[TenantView]:
    """All tenants."""
    return map(_view, rpc.tenants())


def _view(info: fleet_pb2.TenantInfo) -> TenantView:
    return TenantView(
        info.tenant,
        _limits(info.limits),
        info.functions,
        info.environments,
        info.artifact_bytes,
        info.streams,
        info.rows,
        info.refused,
    )


def _limits(limits: cluster_pb2.TenantLimits) -> TenantLimits:
    return TenantLimits(
        limits.functions if limits.HasField("functions") else None,
        limits.artifact_bytes if limits.HasField("artifact_bytes") else None,
        limits.environments if limits.HasField("environments") else None,
        limits.streams if limits.HasField("streams") else None,
        limits.rows_per_second if limits.HasField("rows_per_second") else None,
    )
