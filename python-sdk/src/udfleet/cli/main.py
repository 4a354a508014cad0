"""The commands."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..errors import UdfleetError
from . import output, shared
from .audit import audit
from .backup import backup, restore
from .bundle import support_bundle
from .call import call
from .clickhouse import clickhouse
from .completion import completion
from .down import down
from .drop import drop
from .env import env
from .errors import errors
from .local import up
from .logs import logs
from .profile import profile
from .programs import certs, coordinator, executor
from .register import register
from .replay import replay
from .restart import restart
from .state import state as state_group
from .state import streams
from .status import drain, functions, progress, status
from .token import token as token_group
from .top import top
from .why import events, why


class _Group(click.Group):
    """Lists commands in the order in which people need them.

    All failures look alike, whoever finds them, and have the exit statuses that docs/errors/README.md names.
    """

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

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read stdout has seen enough.
            sys.stderr.close()
            ctx.exit(0)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=shared.show_version,
              help="Versions of the package, of Python and of the programs.")  # fmt: skip
@click.option(
    "--address",
    envvar="UDFLEET_ADDRESS",
    default="127.0.0.1:8815",
    show_default=True,
    help="The coordinator; several with commas between them.",
)
@click.option(
    "--token",
    default=None,
    expose_value=False,
    hidden=True,
    callback=shared.refused_token,
)
@click.option("--token-file", type=click.Path(dir_okay=False), default=None, help="A file that holds the token.")
@click.option("--tls-ca", envvar="UDFLEET_TLS_CA", metavar="FILE", help="The fleet's CA: turns TLS on.")
@click.option("--tls-cert", envvar="UDFLEET_TLS_CERT", metavar="FILE", help="A certificate to show.")
@click.option("--tls-key", envvar="UDFLEET_TLS_KEY", metavar="FILE", help="The key of that certificate.")
@click.pass_context
def cli(
    ctx: click.Context,
    address: str,
    token_file: str | None,
    tls_ca: str | None,
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """Run Python functions on a fleet. Data goes to stdout, everything else to stderr.

    Without --token-file: what UDFLEET_TOKEN holds, what the file holds that UDFLEET_TOKEN_FILE names, or
    the token of the fleet that `udfleet up` runs at the address on this machine.
    """
    ctx.obj = {
        "address": address,
        "token_file": token_file,
        "tls_ca": tls_ca,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
    }


for _command in (
    up, down, status, top, why, functions, register, call, drop, logs, progress, errors, replay, events, profile, env,
    restart, drain, streams, state_group, backup, restore, token_group, audit, support_bundle, clickhouse,
    completion, certs, coordinator, executor,
):  # fmt: skip
    cli.add_command(_command)
