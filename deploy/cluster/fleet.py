"""The fleet: brought up, used from outside, taken down."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from . import engine, images
from .shell import DEPLOY, ROOT, STATE, run, say, wait_for

PROJECT = "udfleet"
COORDINATORS = ["127.0.0.1:8815", "127.0.0.1:8825"]
HTTP = ["127.0.0.1:8816", "127.0.0.1:8826"]
EXECUTORS = 3
_SECRETS = STATE / "secrets"
_VARIABLES = STATE / "env"
"""What Compose and clients are told: lines that a shell reads."""


def compose(*arguments: str, quiet: bool = True, check: bool = True) -> str:
    """Runs a command of Compose on the fleet."""
    command = [*engine.compose_command(), "-p", PROJECT, "-f", str(DEPLOY / "docker-compose.yml"), *arguments]
    return run(command, quiet=quiet, environment=variables(), check=check).stdout or ""


def variables() -> dict[str, str]:
    """What programs outside of the containers have to be told."""
    lines = _VARIABLES.read_text().splitlines() if _VARIABLES.exists() else []
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


def address() -> str:
    """Of all coordinators, from outside of the containers."""
    return ",".join(COORDINATORS)


def token() -> str:
    """The fleet's token."""
    return (_SECRETS / "token").read_text().strip()


def up(profiles: Sequence[str] = ()) -> None:
    """Returns when all executors serve."""
    STATE.mkdir(parents=True, exist_ok=True)
    engine.ensure()
    _remember(images.build())
    say("starting the containers")
    options = [option for profile in profiles for option in ("--profile", profile)]
    compose(*options, "up", "-d")
    wait_for("the executors are ready", 180, lambda: all(ready(http) == EXECUTORS for http in HTTP))
    say(f"{EXECUTORS} executors serve, {len(COORDINATORS)} coordinators")


def _remember(images_made: dict[str, str]) -> None:
    """Makes a token: a file that containers can read, in a folder that others on this machine can't."""
    _SECRETS.mkdir(mode=0o700, exist_ok=True)
    path = _SECRETS / "token"
    if not path.exists():
        path.write_text(secrets.token_hex(24) + "\n")
        path.chmod(0o444)
    told = {"UDFLEET_ADDRESS": address(), "UDFLEET_TOKEN": token(), "UDFLEET_SECRETS": str(_SECRETS), **images_made}
    _VARIABLES.touch(mode=0o600)
    _VARIABLES.write_text("".join(f"export {name}={value}\n" for name, value in told.items()))


def ready(http: str) -> int:
    """How many executors are ready, as a coordinator sees it."""
    request = urllib.request.Request(  # noqa: S310 - of this machine
        f"http://{http}/api/v1/executors", headers={"Authorization": f"Bearer {token()}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            executors = json.load(answer)
    except (OSError, ValueError, KeyError):
        return 0
    return sum(executor["state"] == "ready" for executor in executors)


def job(quiet: bool = False) -> None:
    """The flights job, from outside: through the coordinators, as executors' names mean nothing here."""
    flights = ROOT / "python-sdk/examples/flights.py"
    run([sys.executable, str(flights), "--address", address()], quiet=quiet, environment=variables())


def tell() -> None:
    """How to look around, and how to stop."""
    udfleet = Path(os.path.normpath(sys.executable)).with_name("udfleet")
    client = " ".join([*engine.compose_command(), "-p", PROJECT, "-f", str(DEPLOY / "docker-compose.yml")])
    print(  # noqa: T201 - to paste
        f"""
the fleet is up. To look around:

. {_VARIABLES}
{udfleet} status
{udfleet} logs --follow
curl -H "Authorization: Bearer $UDFLEET_TOKEN" http://{HTTP[0]}/api/v1/executors
{client} ps

To stop and remove it: make cluster-down"""
    )


def down() -> None:
    """Removes the containers and their data, and stops the engine where it was started here."""
    if engine.runs() and _VARIABLES.exists():
        say("removing the containers and their data")
        compose("--profile", "monitoring", "down", "--volumes", "--remove-orphans", "--timeout", "20")
    engine.stop()
    for path in (_VARIABLES, _SECRETS, STATE / "context"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
