"""The wheel that `make wheel` has built, installed where nothing else of the project is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from wheel_support import PROJECT, Run


@pytest.fixture(scope="session")
def wheel() -> Path:
    built = list((PROJECT / "target/wheel").glob("*.whl"))
    assert len(built) == 1, "make wheel"
    return built[0]


@pytest.fixture
def bare(tmp_path: Path) -> Run:
    """Runs a command with no variables but a home folder of its own: no PATH, no checkout."""
    kept = {name: os.environ[name] for name in ("UV_CACHE_DIR", "SSL_CERT_FILE") if name in os.environ}
    # Where the packages of environments come from is the machine's affair.
    kept |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or "INDEX" in name}
    home = tmp_path / "home"
    home.mkdir()

    def run(*command: object, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(home), "PATH": "/nowhere", **kept, **variables}
        words = [str(word) for word in command]
        done = subprocess.run(words, env=environment, cwd=home, capture_output=True, text=True, timeout=240)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
