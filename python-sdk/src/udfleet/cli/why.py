"""why, events: what waits, and what has happened."""

from __future__ import annotations

import datetime
import json
import time
from typing import TYPE_CHECKING, Any

import click

from .._terminal import visible
from ..errors import UnreachableError
from . import output
from .shared import connected, function_name, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._client.fleet import Fleet

_PERIOD = 1.0
"""Between two questions for new events, seconds."""
_SEVERITIES = ("info", "warning", "error")


@click.command(short_help="What waits, for what, what would help.")
@function_name("name", required=False)
@json_option
@click.pass_context
def why(ctx: click.Context, name: str, as_json: bool) -> None:
    """What waits, or keeps others waiting: since when, for what, and what would help. NAME: of this function only.

    Exit status 1 when something needs attention: calls fail or will.
    """
    with connected(ctx) as fleet:
        rows = fleet.system_table("waiting").to_pylist()
        if name:
            fleet.function(name)
            rows = [row for row in rows if row["kind"] == "function" and _is(row["subject"], name)]
    if as_json:
        output.print_json(rows)
    else:
        for row in rows:
            subject = f" {row['subject']}" if row["subject"] else ""
            print(visible(f"{row['reason']}{subject}: {row['evidence']} (for {age(row['since'])})"))
            if row["remedy"]:
                print(visible(f"    {row['remedy']}"))
        if not rows:
            output.say(f"nothing keeps {name} waiting" if name else "nothing waits")
    ctx.exit(1 if any(row["severity"] == "error" for row in rows) else 0)


def _is(function: str, name: str) -> bool:
    return function == name if "@" in name else function.partition("@")[0] == name


def age(since: datetime.datetime) -> str:
    """How long ago, for people."""
    seconds = max(0, int((datetime.datetime.now(datetime.timezone.utc) - since).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@click.command(short_help="What has happened in the fleet.")
@click.option("--follow", "-f", is_flag=True, help="Go on as things happen.")
@click.option("--tail", "-n", type=click.IntRange(min=0), default=100, show_default=True, help="The newest N events.")
@click.option("--severity", type=click.Choice(_SEVERITIES), default="info", help="At least so severe.")
@click.option("--subject", default="", help="Of this function (add, add@3), executor or coordinator only.")
@json_option
@click.pass_context
def events(ctx: click.Context, follow: bool, tail: int, severity: str, subject: str, as_json: bool) -> None:
    """What has happened, the oldest first: executors that come and go, functions that become ready or fail.

    With --json, each event is a line.
    """
    least = _SEVERITIES.index(severity)

    def wanted(event: dict[str, Any]) -> bool:
        about = not subject or event["subject"] == subject or _is(event["subject"], subject)
        return about and _SEVERITIES.index(event["severity"]) >= least

    with connected(ctx) as fleet:
        batches = _batches(fleet, follow)
        known = [event for event in next(batches) if wanted(event)]
        for event in known[max(0, len(known) - tail) :]:
            _show(event, as_json)
        for batch in batches:
            for event in filter(wanted, batch):
                _show(event, as_json)


def _batches(fleet: Fleet, follow: bool) -> Iterator[list[dict[str, Any]]]:
    """The events that there are, then those that come."""
    rows = fleet.system_table("events").to_pylist()
    yield rows
    last = rows[-1] if rows else None
    while follow:
        time.sleep(_PERIOD)
        try:
            rows = fleet.system_table(f"events?after={last['id']}" if last else "events").to_pylist()
            if not rows and last:
                rows = _restarted(fleet, last)
        except UnreachableError:
            # It is coming back, or another one answers.
            continue
        if rows:
            last = rows[-1]
            yield rows


def _restarted(fleet: Fleet, last: dict[str, Any]) -> list[dict[str, Any]]:
    """New events of a coordinator that counts differently: another one, or one that was set up anew."""
    rows: list[dict[str, Any]] = fleet.system_table("events").to_pylist()
    if not rows or rows[-1]["id"] >= last["id"]:
        return []
    return [row for row in rows if row["time"] > last["time"]]


def _show(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(output.plain(event), default=str), flush=True)
        return
    stamp = event["time"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
    print(visible(f"{stamp} {event['severity']:<7} {event['event']}: {event['message']}"), flush=True)
