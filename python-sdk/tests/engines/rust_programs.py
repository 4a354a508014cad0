"""Programs in Rust that are no part of the workspace, built when a test needs them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

from remote_servers import ROOT


def build(name: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Builds `tests/NAME`; what comes back runs it, with a token if one is given."""
    target = ROOT / "target" / name
    manifest = ROOT / "tests" / name / "Cargo.toml"
    cargo = ["cargo", "build", "--quiet", "--locked", "--manifest-path", str(manifest), "--target-dir", str(target)]
    # Elsewhere than in the repository, whose settings keep PyO3 from looking for the Python that these may embed.
    subprocess.run(cargo, cwd=tempfile.gettempdir(), check=True)
    program = target / "debug" / f"udfleet-{name}"

    def run(*arguments: Any, token: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], **({"UDFLEET_TOKEN": token} if token else {})}
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, env=environment)

    return run
