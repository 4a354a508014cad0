"""profile"""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import InvalidInputError
from . import output
from .flamegraph import svg
from .shared import connected, function_name, json_option
from .stacks import merged, top
from .tables import table


@click.command(short_help="Where functions spend their time.")
@function_name("name", required=False)
@click.option("--svg", "target", type=click.Path(dir_okay=False), help="Write a flame graph to this file.")
@click.option("--rows", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="Functions to show.")
@json_option
@click.pass_context
def profile(ctx: click.Context, name: str, target: str | None, rows: int, as_json: bool) -> None:
    """Where function NAME, or all, spends its time: the Python functions that take most of it."""
    with connected(ctx) as fleet:
        views = fleet.profile(name)
    if as_json:
        output.print_json(views)
        return
    stacks = merged(views)
    if not stacks:
        output.say("nothing was sampled; functions registered with python.profile.enabled=true are, while they run")
        return
    if target:
        title = f"udfleet profile of {', '.join(sorted({view.function for view in views}))}"
        try:
            Path(target).write_text(svg(stacks, title), encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(f"the flame graph can't be written to {target}: {error}") from None
        output.say(f"flame graph written to {target}")
    whole = sum(stacks.values())
    lines = [
        [f"{100 * own / whole:.1f}", f"{own:.2f}", f"{100 * total / whole:.1f}", f"{total:.2f}", frame]
        for frame, own, total in top(stacks)[:rows]
    ]
    table(["OWN %", "OWN S", "TOTAL %", "TOTAL S", "FUNCTION"], lines)
