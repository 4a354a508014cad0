"""Running programs, and giving up with a reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
STATE = ROOT / "target" / "cluster"
"""What `up` leaves for `down`: secrets, logs, the engine's data where it was started here."""


def say(text: str) -> None:
    """Tells what is going on."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def fail(text: str, hint: str) -> NoReturn:
    """Ends, saying what to do."""
    print(f"cluster: {text}\nhint: {hint}", file=sys.stderr)
    sys.exit(1)


def program(*names: str) -> str | None:
    """Where one of these programs lies; Debian's own before others of the name on PATH."""
    for name in names:
        found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin") or shutil.which(name)
        if found:
            return found
    return None


def run(
    command: Sequence[str], quiet: bool = False, environment: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; one that fails ends this one with what it said."""
    done = subprocess.run(  # noqa: S603 - names that stand in these files
        list(command),
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.PIPE if quiet else None,
    )
    if check and done.returncode:
        said = f":\n{(done.stdout + done.stderr).rstrip()[-4000:]}" if quiet else ""
        fail(
            f"`{' '.join(command)}` failed with status {done.returncode}{said}",
            "see above; `make cluster-down` cleans up",
        )
    return done


def wait_for(what: str, seconds: float, done: Callable[[], bool]) -> None:
    """Returns once something is so."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            fail(f"{what}: not within {seconds:.0f} s", "docker-compose logs tells more; `make cluster-down` cleans up")
        time.sleep(0.2)
