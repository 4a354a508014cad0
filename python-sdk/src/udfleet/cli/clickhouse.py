"""clickhouse"""

from __future__ import annotations

import click

from . import output
from .shared import connected


@click.command(short_help="Write the configuration of ClickHouse.")
@click.argument("names", metavar="NAME[@VERSION]...", nargs=-1, required=True)
@click.option(
    "--folder", required=True, type=click.Path(file_okay=False), help="Where to write; what is there is replaced."
)
@click.option(
    "--pool", type=click.IntRange(min=1), default=None, help="Keep up to N processes for each function.", metavar="N"
)
@click.option("--prefix", default="", help="Put in front of the names in SQL.")
@click.option("--on-error", type=click.Choice(["fail", "null"]), default=None, help="Of rows that they raise for.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    help="Seconds that a block of rows may take.",
)
@click.pass_context
def clickhouse(
    ctx: click.Context,
    names: tuple[str, ...],
    folder: str,
    pool: int | None,
    prefix: str,
    on_error: str | None,
    timeout: float,
) -> None:
    """Write what ClickHouse needs to call functions: its configuration and the program that it starts."""
    from ..engines.clickhouse import configure

    with connected(ctx) as fleet:
        for signature in configure(
            fleet, folder, *names, pool=pool or 0, prefix=prefix, on_error=on_error, timeout=timeout
        ):
            print(signature)
    output.say(f"written to {folder}")
