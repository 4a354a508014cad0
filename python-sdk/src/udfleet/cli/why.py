"""why, events: what waits, and what has happened."""

from __future__ import annotations

import contextlib
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
    followed = _Followed(fleet)
    yield followed.news()
    while follow:
        time.sleep(_PERIOD)
        # While none answers, it is coming back, or another one will.
        with contextlib.suppress(UnreachableError):
            rows = followed.news()
            if rows:
                yield rows


class _Followed:
    """Where a follower stands among the events of the coordinator that answers.

    Each coordinator has numbers of its own. So the last event that was read is asked for again: where it is not what
    comes first, another coordinator answers, or one that was set up anew, and time tells what is new.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._last: dict[str, Any] | None = None
        self._until: datetime.datetime | None = None
        """The time of the newest event that was given."""

    def news(self) -> list[dict[str, Any]]:
        """The events that were not given yet, the oldest first."""
        rows = self._after_last()
        if rows is None:
            rows = self._ask("events")
            self._last = rows[-1] if rows else None
            rows = [row for row in rows if self._until is None or row["time"] > self._until]
        if rows:
            newest: datetime.datetime = max(row["time"] for row in rows)
            self._until = newest if self._until is None else max(newest, self._until)
        return rows

    def _after_last(self) -> list[dict[str, Any]] | None:
        """What came after the last one; None where the coordinator does not know that."""
        if self._last is None:
            return None
        rows = self._ask(f"events?after={self._last['id'] - 1}")
        if not rows or any(rows[0][key] != self._last[key] for key in ("id", "time", "message")):
            return None
        self._last = rows[-1]
        return rows[1:]

    def _ask(self, table: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._fleet.system_table(table).to_pylist()
        return rows


def _show(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(output.plain(event), default=str), flush=True)
        return
    stamp = event["time"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
    print(visible(f"{stamp} {event['severity']:<7} {event['event']}: {event['message']}"), flush=True)
