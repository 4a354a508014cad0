"""The `udfleet` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line."""
    try:
        from .main import cli
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f"error: STARTUP: the command line needs the package {error.name}\nhint: pip install udfleet")
    cli(prog_name="udfleet")
