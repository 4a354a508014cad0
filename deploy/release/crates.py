"""The crates that are compiled into the programs."""

from __future__ import annotations

import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("udfleet-coordinator", "udfleet-executor", "udfleet-interpreter", "udfleet-clickhouse")
TARGET = "x86_64-unknown-linux-gnu"


@dataclass(frozen=True, order=True)
class Crate:
    """One of them."""

    name: str
    version: str
    license: str | None
    sha256: str | None
    """Of what crates.io serves; none: it is of this repository."""
    dependencies: tuple[str, ...]
    """`NAME@VERSION` of each."""

    @property
    def reference(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"


def compiled_in() -> list[Crate]:
    """What a program is made of: neither tools of the build nor what only tests use."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={TARGET}"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return reachable(json.loads(done.stdout), _checksums(), PROGRAMS)


def _checksums() -> dict[tuple[str, str], str]:
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return {(one["name"], one["version"]): one["checksum"] for one in locked if "checksum" in one}


def reachable(metadata: dict[str, Any], checksums: dict[tuple[str, str], str], roots: tuple[str, ...]) -> list[Crate]:
    """The packages with these names and all that they depend on when they run."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    to_visit = [identity for identity, package in packages.items() if package["name"] in roots]
    found: dict[str, Crate] = {}
    while to_visit:
        identity = to_visit.pop()
        if identity in found:
            continue
        package = packages[identity]
        needed = [
            dependency["pkg"]
            for dependency in nodes[identity]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and not _macro(packages[dependency["pkg"]])
        ]
        name, version = package["name"], package["version"]
        references = sorted("{name}@{version}".format(**packages[one]) for one in needed)
        checksum = checksums.get((name, version))
        found[identity] = Crate(name, version, package["license"], checksum, tuple(references))
        to_visit += needed
    return sorted(found.values())


def _macro(package: dict[str, Any]) -> bool:
    """It runs in the compiler only."""
    return any("proc-macro" in target["kind"] for target in package["targets"])
