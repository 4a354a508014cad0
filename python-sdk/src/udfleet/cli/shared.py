"""What commands have in common."""

from __future__ import annotations

import click

from .._client.fleet import Fleet, connect

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def connected(ctx: click.Context) -> Fleet:
    """The fleet that the options name."""
    address, token = ctx.find_root().obj
    return connect(address, token)
