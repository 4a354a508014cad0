"""What commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from .._credentials import find_token, read_token
from ..errors import UdfleetError

if TYPE_CHECKING:
    from .._client.fleet import Fleet

F = TypeVar("F", bound=Callable[..., Any])

_CONNECTION = ("address", "token_file", "tls_ca", "tls_cert", "tls_key")
"""Options of the group."""

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def connected(ctx: click.Context) -> Fleet:
    """The fleet that the options name."""
    from .._client.fleet import connect

    return connect(**ctx.find_root().obj)


def refused_token(_ctx: click.Context, _param: click.Parameter, token: str | None) -> None:
    """A token among the arguments is not taken."""
    if token is not None:
        told = "--token: every user of this machine reads it in the list of processes"
        raise click.UsageError(f"{told}; use --token-file, or set UDFLEET_TOKEN or UDFLEET_TOKEN_FILE")


def show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    """Prints what this is, and ends."""
    if wanted and not ctx.resilient_parsing:
        from .programs import build_info

        print(build_info())
        ctx.exit()


def chosen_token(token_file: str | None) -> str | None:
    """What the option and the environment say of the token; None where they say nothing."""
    return read_token(token_file) if token_file else find_token(None, [])


def function_name(parameter: str, *, required: bool = True) -> Callable[[F], F]:
    """An argument that a shell completes with the names of registered functions."""
    default = None if required else ""
    return click.argument(parameter, required=required, default=default, shell_complete=_functions)


def executor_name(parameter: str) -> Callable[[F], F]:
    """An argument that a shell completes with the names of executors."""
    return click.argument(parameter, shell_complete=_executors)


def _functions(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _complete(ctx, incomplete, lambda fleet: [(f.name, f.signature) for f in fleet.functions()])


def _executors(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _complete(ctx, incomplete, lambda fleet: [(e.id, e.address) for e in fleet.executors()])


def _complete(
    ctx: click.Context, incomplete: str, names: Callable[[Fleet], list[tuple[str, str]]]
) -> list[CompletionItem]:
    from .._client.fleet import connect

    # A shell completes without running the commands: the options of the group are parsed, and no more.
    options = ctx.find_root().params
    try:
        with connect(**{name: options[name] for name in _CONNECTION}) as fleet:
            found = names(fleet)
    except UdfleetError:
        return []
    return [CompletionItem(name, help=text) for name, text in found if name.startswith(incomplete)]
