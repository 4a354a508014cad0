"""Where what `make test-deploy` installs lies."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "target" / "services" / "bin"
