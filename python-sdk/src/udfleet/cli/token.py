"""token create, list, revoke"""

from __future__ import annotations

import datetime
import re

import click

from . import output
from .shared import connected, json_option
from .tables import table

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class _Duration(click.ParamType):  # type: ignore[type-arg]
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime.timedelta:
        if isinstance(value, datetime.timedelta):
            return value
        match = re.fullmatch(r"(\d+)([mhdw])", str(value))
        if match is None or int(match[1]) == 0:
            self.fail(f"{value!r} is no duration: write 30m, 12h, 90d or 4w", param, ctx)
        return datetime.timedelta(seconds=int(match[1]) * _UNITS[match[2]])


@click.group(short_help="Tokens: who may do what.")
def token() -> None:
    """Make, list and revoke tokens. Takes the fleet's own token, or one with the role admin."""


@token.command(short_help="Make a token.")
@click.argument("name")
@click.option("--role", "-r", "roles", multiple=True, help="admin, register, call, observe or inspect; repeatable.")
@click.option(
    "--functions",
    "-f",
    multiple=True,
    help="Functions that it may register, drop and call, such as 'team_*'; repeatable. All of them where not given.",
)
@click.option("--expires", type=_Duration(), help="How long it lasts, such as 90d. For ever, or 1d with --join.")
@click.option("--tenant", default="", help="Whose use it counts as. Its name where not given.")
@click.option("--join", is_flag=True, help="Lets the executor NAME join the fleet, once.")
@json_option
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    roles: tuple[str, ...],
    functions: tuple[str, ...],
    expires: datetime.timedelta | None,
    tenant: str,
    join: bool,
    as_json: bool,
) -> None:
    """Make a token. It is printed now and never again: the fleet keeps a hash of it."""
    if join and (roles or functions or tenant):
        raise click.UsageError("--join makes an executor's token, which has no roles, functions or tenant")
    if not join and not roles:
        raise click.UsageError("a token needs at least one --role: admin, register, call, observe or inspect")
    with connected(ctx) as fleet:
        made = fleet.create_token(name, roles, functions=functions, tenant=tenant, expires=expires, join=join)
    if as_json:
        output.print_json(made)
        return
    print(made.token)
    until = made.expires.strftime("until %Y-%m-%d %H:%M UTC") if made.expires else "until it is revoked"
    output.say(f"{name}: {', '.join(made.roles) or 'join'}; valid {until}; it is not shown again")


@token.command("list", short_help="All tokens, without their secrets.")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List all tokens and the credentials of executors, without their secrets."""
    with connected(ctx) as fleet:
        tokens = fleet.tokens()
    if as_json:
        output.print_json(tokens)
        return
    rows = [
        [t.name, t.kind, ", ".join(t.roles), ", ".join(t.functions), t.tenant, t.state,
         t.expires.strftime("%Y-%m-%d %H:%M") if t.expires else ""]
        for t in tokens
    ]  # fmt: skip
    table(["NAME", "KIND", "ROLES", "FUNCTIONS", "TENANT", "STATE", "EXPIRES"], rows)


@token.command(short_help="Let the holder of a token in no longer.")
@click.argument("name")
@click.option("--executor", is_flag=True, help="The credential of the executor NAME.")
@click.option("--join", is_flag=True, help="The join token of the executor NAME.")
@click.pass_context
def revoke(ctx: click.Context, name: str, executor: bool, join: bool) -> None:
    """Revoke a token. New calls fail at once, at other coordinators within 2 seconds; open streams go on."""
    if executor and join:
        raise click.UsageError("--executor and --join are two different tokens")
    kind = "executor" if executor else "join" if join else "roles"
    with connected(ctx) as fleet:
        fleet.revoke_token(name, kind=kind)
    output.say(f"{name} is revoked")
