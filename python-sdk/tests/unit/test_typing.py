"""Declared functions keep their signatures for type checkers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_mypy_sees_what_was_declared(tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    config = ["--config-file", str(HERE.parent.parent / "pyproject.toml")]
    done = subprocess.run([*command, *config, str(HERE / "typed_declarations.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
