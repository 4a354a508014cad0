"""errors"""

from __future__ import annotations

import click

from .._terminal import visible
from . import output
from .shared import connected, function_name, json_option


@click.command(short_help="Rows that failed without failing a call.")
@function_name("name", required=False)
@json_option
@click.pass_context
def errors(ctx: click.Context, name: str, as_json: bool) -> None:
    """Rows of function NAME, or of all, that failed under on_error null or skip: how many, and the first few."""
    with connected(ctx) as fleet:
        found = fleet.row_errors(name)
    if as_json:
        output.print_json(found)
        return
    for view in found:
        rows = "row" if view.count == 1 else "rows"
        print(f"{view.function} on {view.executor}: {view.count} {rows} failed")
        for error in view.first:
            text = visible(f"{error.code}: {error}")
            print("\n".join(f"    {line}" for line in text.splitlines()))
        print()
    if not found:
        output.say("no row has failed; rows are kept here where on_error is null or skip")
