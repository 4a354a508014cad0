"""coordinator and executor: one process of a fleet that spans machines. certs: a part of the coordinator's program."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import click

from .. import __version__
from .._local import binaries
from ..errors import StartupError

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


def build_info() -> str:
    """What this is, for reports of faults: versions of the package, of Python and of the programs."""
    lines = [f"udfleet {__version__}", f"Python {platform.python_version()} on {platform.platform()}"]
    try:
        path = binaries.find_program(binaries.COORDINATOR)
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=10, check=False)
        lines.append(f"{done.stdout.strip() or 'programs of an unknown version'}, in {path.parent}")
    except (StartupError, OSError, subprocess.TimeoutExpired) as error:
        lines.append(f"without programs: {getattr(error, 'message', error)}")
    return "\n".join(lines)


def _become(program: str, options: tuple[str, ...]) -> None:
    path = str(binaries.find_program(program))
    sys.stdout.flush()
    os.execv(path, [path, *options])  # noqa: S606
