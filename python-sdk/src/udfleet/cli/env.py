"""env: environments of the fleet."""

from __future__ import annotations

from typing import Any

import click

from .._terminal import visible
from ..errors import InvalidInputError
from . import output
from .shared import connected, json_option
from .tables import table


@click.group(short_help="Environments: ls, show.")
def env() -> None:
    """The environments that functions run in: what they are made of, where they are built, and why one is not."""


@env.command("ls")
@json_option
@click.pass_context
def env_ls(ctx: click.Context, as_json: bool) -> None:
    """All environments."""
    with connected(ctx) as fleet:
        rows = fleet.system_table("environments").to_pylist()
    if as_json:
        output.print_json(rows)
        return
    table(["ENV", "STATE", "PYTHON", "PACKAGES", "FUNCTIONS", "BUILT ON", "INTERPRETERS"],
          [[row["environment"], row["state"], row["python"] or "any", _few(row["requirements"]),
            _few(row["functions"]), len(row["built_on"]), row["interpreters"]] for row in rows])  # fmt: skip
    for row in rows:
        if row["state"] != "built" and row["reason"]:
            output.say(f"{row['environment'][:12]} is {row['state']}: {row['reason']}")


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


@env.command("show")
@click.argument("environment")
@json_option
@click.pass_context
def env_show(ctx: click.Context, environment: str, as_json: bool) -> None:
    """One environment, named by the beginning of its hash or by a function that uses it."""
    with connected(ctx) as fleet:
        rows = fleet.system_table("environments").to_pylist()
    row = _chosen(rows, environment)
    if as_json:
        output.print_json(row)
        return
    print(visible(f"{row['environment']}: {row['state']}"))
    if row["reason"]:
        print(visible(f"  {row['reason']}"))
    print(visible(f"  Python        {row['python'] or 'any'}"))
    for title, key in [("packages", "requirements"), ("functions", "functions"), ("assigned to", "assigned_to"),
                       ("built on", "built_on")]:  # fmt: skip
        print(visible(f"  {title:<13} {', '.join(row[key]) or 'none'}"))
    print(f"  interpreters  {row['interpreters']}")


def _chosen(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = [row for row in rows if row["environment"] == name]
    if not found:
        found = [row for row in rows if len(name) >= 4 and row["environment"].startswith(name)]
    if not found:
        found = [row for row in rows if any(name in (each, each.partition("@")[0]) for each in row["functions"])]
    if len(found) == 1:
        return found[0]
    several = f"{len(found)} environments match" if found else "no environment matches"
    hint = "udfleet env ls lists them; name a version, or more of the hash"
    raise InvalidInputError(f"{several} {name!r:.100}", hint=hint)
