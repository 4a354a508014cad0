"""top: what the fleet does now."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from .._terminal import visible
from ..errors import UnreachableError
from . import output
from .shared import connected, json_option
from .tables import table

if TYPE_CHECKING:
    from .._client.fleet import Fleet

_CLEAR = "\x1b[H\x1b[2J"
_SORTS = {"time": "_time", "rows": "rows_per_second", "errors": "errors_per_second", "p95": "p95_seconds"}


@click.command(short_help="What the fleet does now, live.")
@click.option("--once", is_flag=True, help="Print it once: so it is where stdout is no terminal.")
@click.option("--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds.")
@click.option("--rows", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="Functions to show.")
@click.option("--sort", type=click.Choice(list(_SORTS)), default="time", show_default=True, help="What comes first.")
@json_option
@click.pass_context
def top(ctx: click.Context, once: bool, interval: float, rows: int, sort: str, as_json: bool) -> None:
    """Executors and the functions that take most of their time, until Ctrl-C."""
    with connected(ctx) as fleet:
        if as_json:
            output.print_json(_snapshot(fleet, rows, sort))
            return
        live = sys.stdout.isatty() and not once
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                try:
                    told = _snapshot(fleet, rows, sort)
                except UnreachableError as error:
                    if not live:
                        raise
                    output.say(f"{error} Trying again.")
                else:
                    if live:
                        sys.stdout.write(_CLEAR)
                    _show(told)
                if not live:
                    return
                sys.stdout.flush()
                time.sleep(interval)


def _snapshot(fleet: Fleet, rows: int, sort: str) -> dict[str, Any]:
    executors = fleet.system_table("executors").to_pylist()
    functions = fleet.system_table("functions").to_pylist()
    for one in functions:
        one["_time"] = sum(one[f"{part}_seconds_per_second"] for part in ("queue", "transfer", "convert", "run"))
    functions.sort(key=lambda one: (-(one[_SORTS[sort]] or 0), -one["calls"], one["function"]))
    for one in functions:
        del one["_time"]
    waiting = [row for row in fleet.system_table("waiting").to_pylist() if row["severity"] != "info"]
    return {"executors": executors, "functions": functions[:rows], "waiting": waiting}


def _show(told: dict[str, Any]) -> None:
    attached = [one for one in told["executors"] if one["state"] in ("ready", "draining", "drained")]
    total = {key: sum(one[key] for one in attached) for key in ("rows_per_second", "calls_per_second", "in_flight",
             "busy_interpreters", "interpreters", "rss_bytes")}  # fmt: skip
    print(f"{len(attached)} executors, {total['busy_interpreters']:.1f} of {total['interpreters']} interpreters busy, "
          f"{output.size(total['rss_bytes'])}, {_rate(total['rows_per_second'])} rows/s, "
          f"{_rate(total['calls_per_second'])} batches/s, {total['in_flight']} in flight")  # fmt: skip
    for row in told["waiting"][:3]:
        print(visible(f"{row['reason']} {row['subject']}: {row['evidence']}"))
    print()
    table(["EXECUTOR", "STATE", "BUSY", "INTERPRETERS", "ROWS/S", "IN FLIGHT", "MEMORY"],
          [[e["executor"], e["state"], f"{e['busy_interpreters']:.1f}", f"{e['interpreters']}/{e['max_interpreters']}",
            _rate(e["rows_per_second"]), e["in_flight"], output.size(e["rss_bytes"])]
           for e in told["executors"]])  # fmt: skip
    print()
    table(["FUNCTION", "STATE", "ROWS/S", "BATCHES/S", "ERRORS/S", "P50", "P95", "QUEUE", "TRANSFER", "CONVERT", "RUN"],
          [[f["function"], f["state"].lower(), _rate(f["rows_per_second"]), _rate(f["calls_per_second"]),
            _rate(f["errors_per_second"]), _seconds(f["p50_seconds"]), _seconds(f["p95_seconds"]), *_shares(f)]
           for f in told["functions"]])  # fmt: skip


def _shares(function: dict[str, Any]) -> list[str]:
    """Where its time goes."""
    parts = [function[f"{part}_seconds_per_second"] for part in ("queue", "transfer", "convert", "run")]
    whole = sum(parts)
    return ["-" if whole <= 0 else f"{100 * part / whole:.0f} %" for part in parts]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"
