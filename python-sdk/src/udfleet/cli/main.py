"""The commands."""

from __future__ import annotations

import sys
from typing import Any

import click

from .. import __version__
from ..errors import UdfleetError
from . import output
from .call import call
from .clickhouse import clickhouse
from .errors import errors
from .local import up
from .profile import profile
from .register import register
from .shared import connected, json_option
from .status import drain, functions, progress, status


class _Group(click.Group):
    """All failures look alike, whoever finds them, and have the exit statuses that docs/errors/README.md names."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except UdfleetError as error:
            output.fail(error)
            status = 1
        except click.UsageError as error:
            output.misused(error)
            status = 2
        except click.Abort:
            output.say("interrupted")
            status = 130
        sys.exit(status)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read stdout has seen enough.
            sys.stderr.close()
            ctx.exit(0)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="udfleet %(version)s")
@click.option(
    "--address", envvar="UDFLEET_ADDRESS", default="127.0.0.1:8815", show_default=True, help="The coordinator."
)
@click.option("--token", envvar="UDFLEET_TOKEN", default=None, help="The fleet's token.")
@click.pass_context
def cli(ctx: click.Context, address: str, token: str | None) -> None:
    """Run Python functions on a fleet. Data goes to stdout, everything else to stderr."""
    ctx.obj = (address, token)


@cli.command()
@click.argument("name", default="")
@click.option("--follow", "-f", is_flag=True, help="Go on as lines are written.")
@click.option("--tail", "-n", type=click.IntRange(min=0), default=0, help="The newest N lines of each stream only.")
@json_option
@click.pass_context
def logs(ctx: click.Context, name: str, follow: bool, tail: int, as_json: bool) -> None:
    """What function NAME, or all, wrote to stdout and stderr."""
    import json

    with connected(ctx) as fleet:
        for line in fleet.logs(name, tail, follow):
            if as_json:
                print(json.dumps(output.plain(line), default=str), flush=True)
            else:
                stamp = line.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
                print(f"{stamp} {line.executor} {line.function} {line.stream} | {line.text}", flush=True)


for _command in (up, status, functions, register, call, drain, progress, errors, profile, clickhouse):
    cli.add_command(_command)
