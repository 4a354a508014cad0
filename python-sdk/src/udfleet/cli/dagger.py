"""register --dagger"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from . import loading, output
from .shared import connected

if TYPE_CHECKING:
    from .._client.views import FunctionView


def refuse(target: str, **options: Any) -> None:
    """Refuses what Dagger's configuration says itself."""
    given = [f"--{name}" for name, value in options.items() if value]
    if target:
        given.insert(0, repr(target))
    if given:
        raise click.UsageError(f"--dagger names functions and what they need: leave out {', '.join(given)}")


def register(
    ctx: click.Context,
    file: str,
    python: str | None,
    config: Mapping[str, str],
    timeout: float | None,
    on_error: str | None,
    as_json: bool,
) -> None:
    """Registers the functions of a Dagger job, telling of each."""
    from ..dagger import load, read_settings

    executable = {**read_settings(file), **config}.get("python.client.executable")
    if executable:
        loading.run_in(executable)
    job = load(file)
    job.environment.python = python or job.environment.python
    for note in job.notes:
        output.say(f"note: {note}")

    def show(view: FunctionView) -> None:
        if not as_json:
            print(f"{view.reference} {view.signature}", flush=True)

    with connected(ctx) as fleet:
        views = job.register(fleet, config, show, timeout=timeout, on_event=output.say, on_error=on_error)
    if as_json:
        output.print_json(views)
