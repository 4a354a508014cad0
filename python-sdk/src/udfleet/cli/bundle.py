"""support-bundle: what somebody who helps from afar wants to see, in one file."""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..errors import InvalidInputError, UdfleetError
from . import output
from .shared import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._client.fleet import Fleet

HIDDEN = "(left out)"


@click.command("support-bundle", short_help="One file with all that helps to find a fault.")
@click.argument("file", type=click.Path(dir_okay=False), default="")
@click.option("--logs", "-n", type=click.IntRange(min=0), default=200, show_default=True,
              help="Lines that functions printed, of each stream; 0: none.")  # fmt: skip
@click.pass_context
def support_bundle(ctx: click.Context, file: str, logs: int) -> None:
    """Write FILE, a zip of JSON: versions, functions, executors, environments, numbers, errors, events, what waits, and
    what functions printed.

    Tokens, secrets and values of variables are not in it. Sources, tracebacks and printed lines are: read them before
    you pass the file on.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    target = Path(file or f"udfleet-support-{now:%Y%m%d-%H%M%S}.zip")
    with connected(ctx) as fleet:
        try:
            with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as bundle:
                for name, text in _parts(fleet, now, logs):
                    bundle.writestr(name, text)
        except FileExistsError:
            raise InvalidInputError(f"{target} exists", hint="name another file, or remove this one") from None
        except OSError as error:
            raise InvalidInputError(f"{target} can't be written: {error}") from None
    target.chmod(0o600)
    output.say(f"written to {target}, {output.size(target.stat().st_size)}")


def _parts(fleet: Fleet, now: datetime.datetime, logs: int) -> Iterator[tuple[str, str]]:
    """Names and contents. What can't be had is told, and the others are there all the same."""
    from .._client import system_tables

    missing: dict[str, Any] = {}

    def had(name: str, ask: Callable[[], Any]) -> Iterator[tuple[str, str]]:
        try:
            yield f"{name}.json", json.dumps(output.plain(ask()), indent=1, default=str)
        except UdfleetError as error:
            missing[name] = output.plain(error)

    for table in system_tables.NAMES:
        yield from had(f"tables/{table}", lambda table=table: fleet.system_table(table).to_pylist())  # type: ignore[misc]
    yield from had("functions", lambda: [dataclasses.replace(f, env=dict.fromkeys(f.env, HIDDEN))
                                         for f in fleet.functions(all_versions=True)])  # fmt: skip
    yield from had("executors", fleet.executors)
    yield from had("progress", fleet.progress)
    yield from had("tenants", fleet.tenants)
    if logs:
        yield from had("logs", lambda: list(fleet.logs("", logs)))
    about = {
        "made": now,
        "client": {"version": __version__, "python": platform.python_version(), "platform": platform.platform()},
        "coordinator": {"version": fleet.check(), "known": list(fleet.coordinators)},
        "meta_store_outage": fleet.meta_store_outage,
        "certificate_ends": fleet.certificate_ends,
        "missing": missing,
    }
    yield "about.json", json.dumps(output.plain(about), indent=1, default=str)
