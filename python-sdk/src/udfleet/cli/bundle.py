"""support-bundle: what somebody who helps from afar wants to see, in one file."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
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
    from collections.abc import Callable, Iterable, Iterator

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
            _write(target, _parts(fleet, now, logs))
        except FileExistsError:
            raise InvalidInputError(f"{target} exists", hint="name another file, or remove this one") from None
        except OSError as error:
            raise InvalidInputError(f"{target} can't be written: {error}") from None
    output.say(f"written to {target}, {output.size(target.stat().st_size)}")


def _write(target: Path, parts: Iterable[tuple[str, str]]) -> None:
    """Writes a zip that only this user can read, from its first byte on; nothing is left of one that fails."""
    opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        with open(opened, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in parts:
                bundle.writestr(name, text)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _parts(fleet: Fleet, now: datetime.datetime, logs: int) -> Iterator[tuple[str, str]]:
    """Names and contents. What can't be had is told, and the others are there all the same."""
    from .._client import system_tables

    missing: dict[str, Any] = {}

    def told(name: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except UdfleetError as error:
            missing[name] = output.plain(error)
            return None

    def had(name: str, ask: Callable[[], Any]) -> Iterator[tuple[str, str]]:
        found = told(name, ask)
        if name not in missing:
            yield f"{name}.json", _json(found)

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
        "coordinator": {"version": told("version", fleet.check), "known": list(fleet.coordinators)},
        "meta_store_outage": told("meta_store_outage", lambda: fleet.meta_store_outage),
        "certificate_ends": told("certificate_ends", lambda: fleet.certificate_ends),
        "missing": missing,
    }
    yield "about.json", _json(about)


def _json(value: Any) -> str:
    return json.dumps(output.plain(value), indent=1, default=str)
