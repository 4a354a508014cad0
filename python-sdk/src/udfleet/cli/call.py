"""call"""

from __future__ import annotations

import sys

import click

from ..errors import InvalidInputError
from . import loading, output
from .shared import connected


@click.command()
@click.argument("name")
@click.option("--arg", "-a", "arguments", multiple=True, help="A value, or a JSON list as a column; once per argument.")
@click.option(
    "--input", "path", type=click.Path(exists=True, dir_okay=False), help="A CSV, JSON, Parquet or Arrow file."
)
@click.option("--columns", default=None, help="Columns of the file, by name: a,b. All by default.")
@click.option("--output", "target", type=click.Path(dir_okay=False), help="Write an Arrow file in place of JSON lines.")
@click.option(
    "--on-error", type=click.Choice(["fail", "null", "skip"]), default=None, help="Of rows that it raises for."
)
@click.option("--rows", type=click.IntRange(min=0), default=None, help="Rows, for a function without arguments.")
@click.pass_context
def call(
    ctx: click.Context,
    name: str,
    arguments: tuple[str, ...],
    path: str | None,
    columns: str | None,
    target: str | None,
    on_error: str | None,
    rows: int | None,
) -> None:
    """Call function NAME on values or on the columns of a file; results are JSON, one line per row."""
    import json

    import pyarrow as pa
    from pyarrow import feather

    if path and arguments:
        raise click.UsageError("give --arg or --input, not both")
    with connected(ctx) as fleet:
        if path:
            table = loading.read_table(path, columns.split(",") if columns else None)
            result = fleet.call(name, *table.columns, on_error=on_error)
        else:
            values = [loading.value(argument) for argument in arguments]
            result = fleet.call(name, *values, rows=rows, on_error=on_error)
    if target:
        try:
            table = result if isinstance(result, pa.Table) else pa.table({"result": result})
            feather.write_feather(table, target, compression="uncompressed")
        except OSError as error:
            raise InvalidInputError(f"the results can't be written to {target}: {error}") from None
        output.say(f"{len(result)} rows written to {target}")
        return
    for value in result.to_pylist():
        sys.stdout.write(json.dumps(value, default=str) + "\n")
