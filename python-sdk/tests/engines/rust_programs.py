"""Programs in Rust that are no part of the workspace, built when a test needs them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

from remote_servers import ROOT


def build(name: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Builds `tests/NAME`; what comes back runs it, with a token if one is given."""
    target = ROOT / "target" / name
    cargo = ["cargo", "build", "--quiet", "--locked", "--target-dir", str(target)]
    # Where they embed a Python, PyO3 has to look for it, which the repository's own settings keep it from.
    subprocess.run(cargo, cwd=ROOT / "tests" / name, check=True, env={**os.environ, "PYO3_NO_PYTHON": ""})
    program = target / "debug" / f"udfleet-{name}"

    def run(*arguments: Any, token: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], **({"UDFLEET_TOKEN": token} if token else {})}
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, env=environment)

    return run
