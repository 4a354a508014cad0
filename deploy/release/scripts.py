"""The packages from npm that the dashboard is made of: they are compiled into the coordinator."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from .crates import ROOT

LOCK = ROOT / "coordinator" / "dashboard" / "package-lock.json"
_FOLDER = "node_modules/"


@dataclass(frozen=True, order=True)
class ScriptPackage:
    """One of them."""

    name: str
    version: str
    license: str | None
    sha512: str
    """Of what the registry serves, in hexadecimal digits."""


def bundled(lock: Path = LOCK) -> list[ScriptPackage]:
    """What pages are made of: without tools of the build, and of tests."""
    packages = json.loads(lock.read_text())["packages"].items()
    return sorted(
        ScriptPackage(path.rpartition(_FOLDER)[2], one["version"], one.get("license"), _sha512(one["integrity"]))
        for path, one in packages
        if path.startswith(_FOLDER) and not any(one.get(kind) for kind in ("dev", "optional", "peer", "devOptional"))
    )


def _sha512(integrity: str) -> str:
    """Of `sha512-BASE64`, as locks have it."""
    return base64.b64decode(integrity.removeprefix("sha512-"), validate=True).hex()
