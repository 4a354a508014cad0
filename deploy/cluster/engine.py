"""The Docker engine: the one that runs, or, as root on Debian, one that is installed and started here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from . import firewall
from .shell import STATE, fail, program, run, say, wait_for

_PACKAGES = ["docker.io", "docker-compose"]
_FOLDER = STATE / "docker"
_PID = _FOLDER / "dockerd.pid"
_POLICY = _FOLDER / "forward-policy"
# The classic builder: Debian's client has no other.
_ENVIRONMENT = {"DOCKER_BUILDKIT": "0"}


def docker(*arguments: str, quiet: bool = True, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command of Docker's client."""
    client = program("docker") or fail("there is no docker", _by_hand())
    return run([client, *arguments], quiet=quiet, environment=_ENVIRONMENT, check=check)


def compose_command() -> list[str]:
    """Compose v2 where it is, else the older program."""
    client = program("docker")
    if client and run([client, "compose", "version"], quiet=True, check=False).returncode == 0:
        return [client, "compose"]
    older = program("docker-compose")
    return [older] if older else fail("there is no Docker Compose", _by_hand())


def _by_hand() -> str:
    return (
        f"install and start it: sudo apt-get install {' '.join(_PACKAGES)}; then run this again, as one who may use it"
    )


def runs() -> bool:
    """Whether an engine answers."""
    client = program("docker")
    return client is not None and run([client, "version"], quiet=True, check=False).returncode == 0


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Within this an engine answers; one that was started for it is stopped afterwards."""
    started = ensure()
    try:
        yield
    finally:
        if started:
            stop()


def ensure() -> bool:
    """Returns when an engine answers and there is a Compose; true where it was started here and now."""
    root, debian = os.geteuid() == 0, Path("/etc/debian_version").exists()
    answers = runs()
    composed = program("docker-compose") or (answers and compose_command())
    if answers and composed:
        return False
    if not (root and debian):
        missing = [] if answers else ["an engine that answers `docker version`"]
        missing += [] if composed else ["Docker Compose"]
        fail(f"this needs {' and '.join(missing)}", _by_hand())
    if not composed or (not answers and program("dockerd") is None):
        _install(_PACKAGES)
    if answers:
        return False
    _start()
    return True


def _install(packages: list[str]) -> None:
    say(f"installing Debian packages: {' '.join(packages)}")
    run(["apt-get", "update", "-qq"], quiet=True)
    options = ["-y", "-qq", "--no-install-recommends"]
    run(["apt-get", "install", *options, *packages], quiet=True, environment={"DEBIAN_FRONTEND": "noninteractive"})


def install_debootstrap() -> None:
    """The program that makes Debian's base image."""
    if program("debootstrap") is None:
        _install(["debootstrap"])


def _start() -> None:
    """Starts an engine by hand: where no service manager runs, nobody else does."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _POLICY.write_text(firewall.forward_policy())
    log = (_FOLDER / "dockerd.log").open("w")
    command = [
        program("dockerd") or "dockerd",
        "--data-root",
        str(_FOLDER / "data"),
        "--exec-root",
        str(_FOLDER / "exec"),
    ]
    command += ["--pidfile", str(_PID)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    say(f"starting the Docker engine (process {process.pid}; its data and its log are in {_FOLDER})")

    def up() -> bool:
        if process.poll() is not None:
            fail(f"the Docker engine has ended with status {process.returncode}", f"see {_FOLDER / 'dockerd.log'}")
        return runs()

    wait_for("the Docker engine answers", 60, up)


def stop() -> None:
    """Stops the engine that was started here, and undoes what it leaves: it sets the policy of FORWARD to DROP."""
    if not _PID.exists():
        return
    pid = int(_PID.read_text())
    say("stopping the Docker engine")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        wait_for("the Docker engine ends", 60, lambda: not _alive(pid))
    firewall.clean(_POLICY.read_text() if _POLICY.exists() else "")
    _PID.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
