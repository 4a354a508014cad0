"""Puts into a folder what is published, from the wheel and the source distribution that lie there already."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from cluster import engine, images
from cluster.shell import STATE, fail, say, wait_for
from cyclonedx.model.component import Component, ComponentType

from . import bills, crates, scripts
from .crates import ROOT

SUMS = "SHA256SUMS"
COMMANDS = ("udfleet-coordinator", "udfleet-executor", "udfleet-clickhouse")


def main() -> int:
    """The folder is the one argument."""
    folder = Path(sys.argv[1]).resolve()
    project = tomllib.loads((ROOT / "python-sdk" / "pyproject.toml").read_text())["project"]
    version, when = project["version"], _committed()
    compiled, pages = crates.compiled_in(), bills.scripts(scripts.bundled())
    (wheel,) = folder.glob("*.whl")
    others = pages + bills.required(project["dependencies"])
    text = bills.bill(wheel, ComponentType.APPLICATION, version, when, compiled, others)
    (folder / f"udfleet-{version}-wheel.cdx.json").write_text(text)
    image = folder / f"udfleet-{version}-image.tar.gz"
    others = pages + _image(image, f"udfleet:{version}", version)
    text = bills.bill(image, ComponentType.CONTAINER, version, when, compiled, others)
    (folder / f"udfleet-{version}-image.cdx.json").write_text(text)
    _sum(folder)
    say(f"{len(list(folder.iterdir()))} files are in {folder}")
    return 0


def _committed() -> float:
    """When the source was committed: the same source has the same bill."""
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _image(file: Path, name: str, version: str) -> list[Component]:
    """Builds the image and saves it; what is installed in it."""
    STATE.mkdir(parents=True, exist_ok=True)
    with engine.running():
        images.build_udfleet(name, certificates="drop")
        _check(name, version)
        say(f"saving the image {name}")
        archive = file.with_suffix("")
        engine.docker("save", "--output", str(archive), name)
        # Without a name and a time the same content gives the same file.
        with archive.open("rb") as source, file.open("wb") as target, gzip.GzipFile("", "wb", 6, target, 0) as packed:
            shutil.copyfileobj(source, packed, 1 << 20)
        archive.unlink()
        return _installed(name)


def _check(image: str, version: str) -> None:
    """Its commands start, and those that serve become healthy, as nobody in particular."""
    for command in COMMANDS:
        said = engine.docker("run", "--rm", "--network=none", image, command, "--version").stdout.split()
        if said[:2] != [command, version]:
            fail(f"{command} of the image says {' '.join(said)}, not {version}", "make build")
    for command in COMMANDS[:2]:
        container = engine.docker("run", "--detach", "--network=none", image, command).stdout.strip()
        try:
            wait_for(f"{command} is healthy", 60, functools.partial(_healthy, container))
            if engine.docker("exec", container, "id", "--user").stdout.strip() == "0":
                fail(f"{command} runs as root", "see USER in deploy/Dockerfile")
        finally:
            engine.docker("rm", "--force", "--volumes", container)


def _healthy(container: str) -> bool:
    return engine.docker("inspect", "--format", "{{.State.Health.Status}}", container).stdout.strip() == "healthy"


def _installed(image: str) -> list[Component]:
    inside = ["run", "--rm", "--network=none", image]
    listed = engine.docker(*inside, "dpkg-query", "--show", "--showformat=${Package}\\t${Version}\\n").stdout
    debian = [tuple(line.split("\t")) for line in listed.splitlines()]
    python = json.loads(engine.docker(*inside, "/opt/uv/bin/pip", "list", "--format=json").stdout)
    pypi = [(package["name"], package["version"]) for package in python]
    return bills.installed("deb", debian) + bills.installed("pypi", pypi)


def _sum(folder: Path) -> None:
    """As `sha256sum --check` reads it."""
    files = sorted(file for file in folder.iterdir() if file.name != SUMS)
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / SUMS).write_text("".join(lines))


if __name__ == "__main__":
    sys.exit(main())
