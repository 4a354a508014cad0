"""The images: pulled where a registry can be reached, else made of Debian's packages."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import engine
from .engine import docker
from .shell import DEPLOY, ROOT, STATE, fail, program, run, say

BASE = "debian:bookworm-slim"
IMAGE = "udfleet"
ETCD = "udfleet-etcd"
OFFICIAL_ETCD = "quay.io/coreos/etcd:v3.5.21"
PROGRAMS = [
    "udfleet-coordinator",
    "udfleet-executor",
    "udfleet-interpreter",
    "libudfleet_interpreter.so",
    "udfleet-clickhouse",
]
_UNWANTED = [
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
]


def exists(image: str) -> bool:
    """Whether the engine has it."""
    return docker("image", "inspect", image, check=False).returncode == 0


def _pulled(image: str) -> bool:
    return exists(image) or docker("pull", "--quiet", image, check=False).returncode == 0


def build() -> dict[str, str]:
    """Makes the images; returns what Compose has to be told."""
    build_udfleet()
    if _pulled(OFFICIAL_ETCD):
        return {"UDFLEET_IMAGE": IMAGE, "UDFLEET_ETCD_IMAGE": OFFICIAL_ETCD}
    say(f"building the image {ETCD} of Debian's package: etcd's own can't be pulled")
    _build("etcd.Dockerfile", "-t", ETCD)
    return {"UDFLEET_IMAGE": IMAGE, "UDFLEET_ETCD_IMAGE": ETCD}


def build_udfleet(image: str = IMAGE, certificates: str = "keep") -> None:
    """Makes the image of the programs; with "drop" it does not trust what only this machine trusts."""
    if not _pulled(BASE):
        say(f"{BASE} can't be pulled")
        bootstrap(BASE, "bookworm")
    arguments = ["--build-arg", f"CERTIFICATES={certificates}"]
    for name in ("PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        if value := os.environ.get(name):
            arguments += ["--build-arg", f"{name}={value}"]
    say(f"building the image {image}, with the programs of target/release")
    _build("Dockerfile", "--target", "built", "-t", image, *arguments)


def _build(dockerfile: str, *arguments: str) -> None:
    context = _context()
    file = str(context / "deploy" / dockerfile)
    docker("build", "-f", file, "--build-arg", f"BASE={BASE}", *arguments, str(context))


def _context() -> Path:
    """What the engine is sent: stripped programs, Dockerfiles and this machine's own certificates."""
    context = STATE / "context"
    shutil.rmtree(context, ignore_errors=True)
    programs = context / "target/programs"
    programs.mkdir(parents=True)
    for name in PROGRAMS:
        built = ROOT / "target/release" / name
        if not built.exists():
            fail(f"{built} is missing", "make build")
        run(["install", "-s", str(built), str(programs / name)], quiet=True)
    shutil.copytree(DEPLOY / "certificates", context / "deploy/certificates")
    for certificate in Path("/usr/local/share/ca-certificates").glob("*.crt"):
        shutil.copy(certificate, context / "deploy/certificates")
    shutil.copy(ROOT / "LICENSE", context)
    for dockerfile in DEPLOY.glob("*Dockerfile"):
        shutil.copy(dockerfile, context / "deploy")
    return context


def bootstrap(image: str, suite: str, packages: Sequence[str] = ()) -> None:
    """Makes a base image of a suite of Debian and further packages, from the mirror that apt uses."""
    if os.geteuid() != 0:
        fail(f"{image} is missing", "import it: docker load, or docker import of what debootstrap makes")
    engine.install_debootstrap()
    say(f"making {image} of Debian's {suite} with debootstrap")
    with tempfile.TemporaryDirectory(dir=STATE) as folder:
        root = Path(folder) / "root"
        included = ",".join(["ca-certificates", *packages])
        command = [program("debootstrap") or "debootstrap", "--variant=minbase", f"--include={included}"]
        run([*command, suite, str(root), _mirror()], quiet=True)
        for path in _UNWANTED:
            shutil.rmtree(root / path, ignore_errors=True)
        archive = Path(folder) / "root.tar"
        run(["tar", "-C", str(root), "-cf", str(archive), "."], quiet=True)
        docker("import", str(archive), image)


def _mirror() -> str:
    """The first mirror of apt's that has bookworm."""
    listed = run(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"], quiet=True)
    for line in listed.stdout.splitlines():
        site, _, codename = line.partition(" ")
        if codename == "bookworm":
            return site
    return "http://deb.debian.org/debian"
