"""Pythons to install the wheel for, and how to run what is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[3]
UV = str(Path(sys.executable).parent / "uv")
OLDEST = (3, 10)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pythons() -> list[Path]:
    """One Python of each minor version that the SDK runs on: this one's, and what pyenv has."""
    found: dict[tuple[int, int], Path] = {}
    for candidate in [Path(sys._base_executable), *Path.home().glob(".pyenv/versions/3.*/bin/python")]:
        asked = [candidate, "-c", "import sys; print(*sys.version_info[:2])"]
        major, minor = map(int, subprocess.run(asked, capture_output=True, check=True).stdout.split())
        if (major, minor) >= OLDEST:
            found.setdefault((major, minor), candidate.resolve())
    return [found[version] for version in sorted(found)]
