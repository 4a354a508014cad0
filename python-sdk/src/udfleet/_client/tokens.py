"""Tokens as clients see them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .._proto.udfleet.v1 import fleet_pb2
from .._rpc import Rpc
from ..errors import InvalidInputError

KINDS = {
    "roles": fleet_pb2.TOKEN_KIND_ROLES,
    "join": fleet_pb2.TOKEN_KIND_JOIN,
    "executor": fleet_pb2.TOKEN_KIND_EXECUTOR,
}


@dataclass(frozen=True)
class TokenView:
    """A token without its secret.

    :ivar kind: `roles`, `join` or `executor`.
    :ivar state: `valid`, `used`, `expired` or `revoked`.
    :ivar expires: None: never.
    """

    name: str
    kind: str
    roles: list[str]
    functions: list[str]
    tenant: str
    state: str
    created: datetime.datetime
    created_by: str
    expires: datetime.datetime | None


@dataclass(frozen=True)
class NewToken(TokenView):
    """A token that was just made."""

    token: str = field(default="", repr=False)
    """The token itself, which is in no other place."""


def create(
    rpc: Rpc,
    name: str,
    roles: Sequence[str],
    functions: Sequence[str],
    tenant: str,
    expires: datetime.timedelta | None,
    join: bool,
) -> NewToken:
    """Makes a token."""
    request = fleet_pb2.CreateTokenRequest(
        kind=KINDS["join" if join else "roles"],
        name=name,
        roles=roles,
        functions=functions,
        tenant=tenant,
        lifetime_s=max(1, round(expires.total_seconds())) if expires is not None else 0,
    )
    made = rpc.create_token(request)
    return NewToken(**vars(_view(made.record)), token=made.token)


def listed(rpc: Rpc) -> Iterator[TokenView]:
    """All tokens."""
    return map(_view, rpc.tokens())


def revoke(rpc: Rpc, name: str, kind: str) -> TokenView:
    """Revokes a token."""
    if kind not in KINDS:
        raise InvalidInputError(f"there is no kind of token {kind!r}", hint=f"one of {', '.join(KINDS)}")
    return _view(rpc.revoke_token(fleet_pb2.RevokeTokenRequest(kind=KINDS[kind], name=name)))


def _view(record: fleet_pb2.AccessRecord) -> TokenView:
    kind = next((name for name, number in KINDS.items() if number == record.kind), "")
    expires = _moment(record.expires_unix_s) if record.expires_unix_s else None
    return TokenView(
        record.name,
        kind,
        list(record.roles),
        list(record.functions),
        record.tenant,
        _state(record, expires),
        _moment(record.created_unix_s),
        record.created_by,
        expires,
    )


def _state(record: fleet_pb2.AccessRecord, expires: datetime.datetime | None) -> str:
    if record.revoked_unix_s:
        return "revoked"
    if expires is not None and expires <= datetime.datetime.now(datetime.timezone.utc):
        return "expired"
    return "used" if record.used else "valid"


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
