"""drop"""

from __future__ import annotations

import click

from . import output
from .shared import connected, function_name, json_option


@click.command(short_help="Drop a function, or one version of it.")
@function_name("name")
@json_option
@click.pass_context
def drop(ctx: click.Context, name: str, as_json: bool) -> None:
    """Drop function NAME with all its versions, or one version: NAME@3. Calls that run are finished."""
    with connected(ctx) as fleet:
        dropped = fleet.drop_function(name)
    if as_json:
        output.print_json(dropped)
    else:
        output.say(f"dropped {', '.join(dropped)}")
