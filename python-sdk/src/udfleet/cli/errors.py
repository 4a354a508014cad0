"""errors"""

from __future__ import annotations

import click

from .._terminal import visible
from . import output
from .shared import connected, function_name, json_option


@click.command(short_help="Batches and rows that failed.")
@function_name("name", required=False)
@json_option
@click.pass_context
def errors(ctx: click.Context, name: str, as_json: bool) -> None:
    """What failed in function NAME, or in all: batches that are kept, which `udfleet replay` runs again, and rows
    under on_error null or skip.
    """
    with connected(ctx) as fleet:
        capsules, found = fleet.capsules(name), fleet.row_errors(name)
    if as_json:
        output.print_json({"capsules": capsules, "row_errors": found})
        return
    for capsule in capsules:
        what = f"{capsule.code} ({capsule.exception})" if capsule.exception else capsule.code
        rows = f"{capsule.kept_rows} of {output.count(capsule.rows, 'row')} kept"
        where = visible(f"{capsule.function} on {capsule.executor}")
        message = next(iter(capsule.message.splitlines()), "")
        print(f"capsule {capsule.id}: {where}, {capsule.time:%Y-%m-%d %H:%M:%S}")
        print(f"    {visible(what)}, {rows}\n    {visible(message)}\n")
    for view in found:
        rows = "row" if view.count == 1 else "rows"
        print(f"{visible(f'{view.function} on {view.executor}')}: {view.count} {rows} failed")
        for error in view.first:
            text = visible(f"{error.code}: {error}")
            print("\n".join(f"    {line}" for line in text.splitlines()))
        print()
    if capsules:
        output.say(f"udfleet replay {capsules[0].id} runs the newest batch here")
    if not found and not capsules:
        output.say(
            "nothing is kept: rows are where on_error is null or skip, batches where udfleet.capsules is set to errors"
        )
