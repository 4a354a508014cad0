"""call"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from . import files, output
from .shared import connected, function_name


@click.command(short_help="Call a function on values or a file.")
@function_name("name")
@click.option("--arg", "-a", "arguments", multiple=True, help="A value, or a JSON list as a column; once per argument.")
@click.option(
    "--input",
    "path",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A CSV, JSON-lines, Parquet or Arrow file; - for stdin.",
)
@click.option("--input-format", type=click.Choice(files.FORMATS), help="Of --input, where its name does not tell.")
@click.option("--columns", default=None, help="Columns of the file, by name: a,b. All by default.")
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False),
    help="Write a .parquet, .csv, .jsonl or .arrow file in place of JSON lines.",
)
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
    input_format: str | None,
    columns: str | None,
    target: str | None,
    on_error: str | None,
    rows: int | None,
) -> None:
    """Call function NAME on values or on the columns of a file; results are JSON, one line per row."""
    if path and arguments:
        raise click.UsageError("give --arg or --input, not both")
    # Before the call, which may take long.
    kind = files.format_of(target) if target else ""
    import pyarrow as pa

    with connected(ctx) as fleet:
        if path:
            table = files.read_table(path, columns.split(",") if columns else None, input_format)
            result = fleet.call(name, *table.columns, on_error=on_error)
        else:
            result = fleet.call(name, *map(_value, arguments), rows=rows, on_error=on_error)
    if target:
        files.write_table(result if isinstance(result, pa.Table) else pa.table({"result": result}), target, kind)
        output.say(f"{len(result)} rows written to {target}")
        return
    sys.stdout.writelines(map(files.json_line, result.to_pylist()))


def _value(text: str) -> Any:
    """An argument: JSON where it is, else text; a JSON list is a column."""
    try:
        return json.loads(text)
    except ValueError:
        return text
