"""backup, restore"""

from __future__ import annotations

import click

from . import output
from .shared import connected, json_option


@click.command(short_help="Write all functions and their files into a folder.")
@click.argument("folder", type=click.Path())
@json_option
@click.pass_context
def backup(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Write all registered functions and their files into FOLDER, which must not exist. The fleet goes on meanwhile."""
    with connected(ctx) as fleet:
        summary = fleet.backup(folder, output.say)
    if as_json:
        output.print_json(summary)
    else:
        functions, artifacts = output.count(summary.functions, "function"), output.count(summary.artifacts, "artifact")
        output.say(f"{folder} holds {functions} and {artifacts}")


@click.command(short_help="Register what a backup holds.")
@click.argument("folder", type=click.Path())
@json_option
@click.pass_context
def restore(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Register what FOLDER holds, under the same versions. Nothing is overwritten: a function that the fleet has with
    another definition stops it before anything is changed.
    """
    with connected(ctx) as fleet:
        summary = fleet.restore(folder, output.say)
    if as_json:
        output.print_json(summary)
    else:
        restored = output.count(summary.functions - summary.already_present, "function")
        output.say(f"restored {restored}; already there: {summary.already_present}")
