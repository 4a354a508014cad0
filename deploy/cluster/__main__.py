"""up, down, test, test-python: see the Makefile."""

from __future__ import annotations

import argparse
import sys

from . import fleet, newest_python, smoke
from .shell import say


def main() -> int:
    """Runs one of the commands."""
    parser = argparse.ArgumentParser(prog="cluster", description="udfleet in containers on this machine")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring it up, run the flights job through it, say how to look around and stop")
    up.add_argument("--profile", action="append", default=[], help="a further profile of the compose file: monitoring")
    up.add_argument("--no-job", action="store_true", help="without the job")
    commands.add_parser("down", help="stop it and remove it, data and all")
    commands.add_parser("test", help="bring it up, break it under a stream, take it down")
    commands.add_parser("test-python", help="tests and the flights job on a Python that only Debian's sid has")
    given = parser.parse_args()
    if given.command == "down":
        fleet.down()
        return 0
    if given.command == "test":
        return smoke.test()
    if given.command == "test-python":
        return newest_python.test()
    fleet.up(given.profile)
    if not given.no_job:
        say("running the flights job through it")
        fleet.job()
    fleet.tell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
