"""register"""

from __future__ import annotations

import click

from ..environment import Environment
from . import dagger, loading, output
from .shared import connected, json_option


@click.command(short_help="Register a function.")
@click.argument("target", metavar="[MODULE:ATTR | FILE.py:ATTR]", default="")
@click.option("--name", default=None, help="The function's name in the fleet; that of ATTR by default.")
@click.option("--dagger", "dagger_file", default=None, help="A file with Dagger's PYTHON_UDF_CONFIG: all it registers.")
@click.option("--python", default=None, help="Version, path or command of its Python.")
@click.option("--requirement", "-r", "requirements", multiple=True, help="A package, as in a requirements file.")
@click.option("--file", "files", multiple=True, type=click.Path(exists=True), help="A .py, .zip, .whl or folder.")
@click.option("--archive", "archives", multiple=True, help="PATH[#TARGET], unpacked in the working folder.")
@click.option("--label", "labels", multiple=True, help="KEY=VALUE: only executors with this label serve it.")
@click.option(
    "--resource", "resources", multiple=True, help="KIND=COUNT: devices that each interpreter has for itself."
)
@click.option("--env", "variables", multiple=True, help="KEY=VALUE: a variable of its interpreters; no secret.")
@click.option("--secret", "secrets", multiple=True, help="NAME of a secret that its interpreters see.")
@click.option("--config", "-c", "config", multiple=True, help="KEY=VALUE.")
@click.option(
    "--on-error", type=click.Choice(["fail", "null", "skip"]), default=None, help="Of rows that it raises for."
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=None, help="Seconds until giving up.")
@json_option
@click.pass_context
def register(
    ctx: click.Context,
    target: str,
    name: str | None,
    dagger_file: str | None,
    python: str | None,
    requirements: tuple[str, ...],
    files: tuple[str, ...],
    archives: tuple[str, ...],
    labels: tuple[str, ...],
    resources: tuple[str, ...],
    variables: tuple[str, ...],
    secrets: tuple[str, ...],
    config: tuple[str, ...],
    on_error: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Register the function that MODULE:ATTR or FILE.py:ATTR names, or those of a Dagger job.

    Returns when they can be called. ATTR may be left out where the module declares one function.
    """
    settings = dict(loading.pairs(config, "--config"))
    if dagger_file is not None:
        dagger.refuse(
            target=target,
            name=name,
            requirement=requirements,
            file=files,
            archive=archives,
            label=labels,
            resource=resources,
            env=variables,
            secret=secrets,
        )
        dagger.register(ctx, dagger_file, python, settings, timeout, on_error, as_json)
        return
    if not target:
        raise click.MissingParameter(param_hint="'MODULE:ATTR'", param_type="argument")
    if "python.client.executable" in settings:
        loading.run_in(settings["python.client.executable"])
    attribute, function = loading.load(target)
    variables_given = dict(loading.pairs(variables, "--env"))
    environment = Environment(python, list(requirements), files=list(files), env=variables_given, secrets=secrets)
    if archives:
        environment = environment.with_config({"python.archives": ",".join(archives)})
    with connected(ctx) as fleet:
        view = fleet.register_function(
            name or attribute,
            function,
            environment,
            settings,
            timeout,
            on_event=output.say,
            on_error=on_error,
            labels=dict(loading.pairs(labels, "--label")),
            resources={kind: _count(kind, count) for kind, count in loading.pairs(resources, "--resource").items()},
        )
    if as_json:
        output.print_json(view)
    else:
        print(f"{view.reference} {view.signature}")


def _count(kind: str, count: str) -> int:
    try:
        return int(count)
    except ValueError as error:
        message = f"{kind}={count}: {count!r} is no number of devices"
        raise click.BadParameter(message, param_hint="'--resource'") from error
