"""coordinator and executor: one process of a fleet that spans machines. certs: a part of the coordinator's program."""

from __future__ import annotations

import os
import sys

import click

from .._local import binaries

_AS_GIVEN = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""The programs read their options themselves, `--help` too."""


@click.command(context_settings=_AS_GIVEN, add_help_option=False, short_help="Run a coordinator here.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def coordinator(options: tuple[str, ...]) -> None:
    """Run the program udfleet-coordinator; `udfleet coordinator --help` lists its options."""
    _become(binaries.COORDINATOR, options)


@click.command(context_settings=_AS_GIVEN, add_help_option=False, short_help="Run an executor here.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def executor(options: tuple[str, ...]) -> None:
    """Run the program udfleet-executor; `udfleet executor --help` lists its options.

    It takes the uv that is installed beside udfleet, and offers this Python, unless told otherwise.
    """
    uv = binaries.find_uv()
    if uv:
        os.environ.setdefault("UDFLEET_UV", uv)
    os.environ.setdefault("UDFLEET_EXECUTOR_PYTHON", binaries.base_python())
    _become(binaries.EXECUTOR, options)


@click.command(context_settings=_AS_GIVEN, add_help_option=False, short_help="Make and show certificates for TLS.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def certs(options: tuple[str, ...]) -> None:
    """Make a CA and certificates of nodes and clients, or show what certificates say; `udfleet certs --help`."""
    _become(binaries.COORDINATOR, ("certs", *options))


def _become(program: str, options: tuple[str, ...]) -> None:
    path = str(binaries.find_program(program))
    sys.stdout.flush()
    os.execv(path, [path, *options])  # noqa: S606
