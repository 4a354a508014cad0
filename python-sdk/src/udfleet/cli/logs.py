"""logs"""

from __future__ import annotations

import json

import click

from .._terminal import visible
from . import output
from .shared import connected, function_name, json_option


@click.command(short_help="What functions wrote to stdout, stderr.")
@function_name("name", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on as lines are written.")
@click.option("--tail", "-n", type=click.IntRange(min=0), default=0, help="The newest N lines of each stream only.")
@json_option
@click.pass_context
def logs(ctx: click.Context, name: str, follow: bool, tail: int, as_json: bool) -> None:
    """What function NAME, or all, wrote to stdout and stderr."""
    with connected(ctx) as fleet:
        for line in fleet.logs(name, tail, follow):
            if as_json:
                print(json.dumps(output.plain(line), default=str), flush=True)
            else:
                stamp = line.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
                text = f"{stamp} {line.executor} {line.function} {line.stream} | {line.text}"
                print(visible(text), flush=True)
