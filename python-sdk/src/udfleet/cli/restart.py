"""restart"""

from __future__ import annotations

import click

from . import output
from .shared import connected, function_name, json_option


@click.command(short_help="Replace interpreters, so that they see changed secrets.")
@function_name("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Those of all functions.")
@json_option
@click.pass_context
def restart(ctx: click.Context, name: str, everything: bool, as_json: bool) -> None:
    """Replace the interpreters that serve function NAME, one after the other. Running calls end first."""
    if bool(name) == everything:
        raise click.UsageError("name a function, or --all")
    with connected(ctx) as fleet:
        done = fleet.restart(name or "")
    if as_json:
        output.print_json(done)
    else:
        for view in done:
            count = "1 interpreter" if view.replaced == 1 else f"{view.replaced} interpreters"
            why = f"; the others are as before: {view.error}" if view.error else ""
            output.say(f"{view.executor}: {count} of {view.environment} replaced{why}")
    if any(view.error for view in done):
        ctx.exit(1)
