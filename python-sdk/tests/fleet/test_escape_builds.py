"""Builds of packages and archives are contained, and nothing of them outlives the executor."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fleet_support import alive, descendants, eventually
from test_escape import attempt

import udfleet
from udfleet import Environment

# A build backend in the package itself: needs no other package.
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "slow-build"
version = "1.0"
"""
BACKEND = """
import os, subprocess, sys, time

LIVE = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(600)"

def build_wheel(*arguments, **named):
    started = [
        subprocess.Popen([sys.executable, "-c", LIVE]),
        subprocess.Popen([sys.executable, "-c", LIVE], start_new_session=True),
    ]
    subprocess.run(["sh", "-c", f"setsid {sys.executable} -c '{LIVE}' &"], check=True)
    time.sleep(600)
"""


# Another one, that replaces the Python of the environment which it is built for.
REPLACING = """
import os, pathlib, zipfile

def build_wheel(folder, *arguments, **named):
    places = [pathlib.Path(value) for value in os.environ.values() if value.startswith(ENVIRONMENTS)]
    for parts in {place.relative_to(ENVIRONMENTS).parts[:1] for place in places}:
        link = pathlib.Path(ENVIRONMENTS, *parts, "venv/bin/python")
        link.unlink()
        link.symlink_to(TARGET)
    name = "slow_build-1.0"
    with zipfile.ZipFile(os.path.join(folder, name + "-py3-none-any.whl"), "w") as wheel:
        wheel.writestr(name + ".dist-info/METADATA", "Metadata-Version: 2.1\\nName: slow-build\\nVersion: 1.0\\n")
        wheel.writestr(name + ".dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(name + ".dist-info/RECORD", "")
    return name + "-py3-none-any.whl"
"""


def sdist(folder: Path, backend: str = BACKEND) -> Path:
    """A folder of packages with one that is built from source; unless told otherwise, for ever."""
    packages = folder / "packages"
    packages.mkdir()
    with tarfile.open(packages / "slow_build-1.0.tar.gz", "w:gz") as archive:
        files = {
            "pyproject.toml": PROJECT,
            "backend.py": backend,
            "PKG-INFO": "Metadata-Version: 2.1\nName: slow-build\nVersion: 1.0\n",
        }
        for name, text in files.items():
            header = tarfile.TarInfo(f"slow_build-1.0/{name}")
            header.size = len(text)
            archive.addfile(header, io.BytesIO(text.encode()))
    return packages


def zeros(folder: Path) -> Path:
    """An archive that takes a while."""
    path = folder / "zeros.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(8):
            header = tarfile.TarInfo(f"zeros-{number}")
            header.size = 256 << 20
            with open("/dev/zero", "rb") as nothing:
                archive.addfile(header, nothing)
    return path


@contextmanager
def registering(fleet: udfleet.LocalFleet, environment: Environment) -> Iterator[None]:
    """Meanwhile a function with this environment is registered, which may fail."""

    def register() -> None:
        try:
            fleet.register_function("slow", attempt, environment)
        except udfleet.UdfleetError:
            pass

    thread = threading.Thread(target=register, daemon=True)
    thread.start()
    yield
    fleet.close()
    thread.join(60)


def started(fleet: udfleet.LocalFleet, word: str) -> set[int]:
    """Processes below the executor that have this word in their command line."""

    def has(pid: int) -> bool:
        try:
            return word in Path(f"/proc/{pid}/cmdline").read_text().split("\0") and alive(pid)
        except (OSError, UnicodeDecodeError):
            return False

    return {pid for pid in descendants(fleet.pids["executor-1"]) if has(pid)}


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.fixture
def environments() -> Iterator[Path]:
    """A folder that users of builds get to, unlike those of tests. All is built anew in it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, environments: Path) -> Iterator[udfleet.LocalFleet]:
    monkeypatch.delenv("UDFLEET_EXECUTOR_SANDBOX_WRITE", raising=False)
    monkeypatch.setenv("UDFLEET_EXECUTOR_ENVIRONMENTS_DIR", str(environments))
    if os.geteuid() == 0:
        monkeypatch.delenv("UDFLEET_EXECUTOR_SANDBOX_WITHOUT", raising=False)
        monkeypatch.setenv("UDFLEET_EXECUTOR_SANDBOX_USERS", "1900000000-1900065535")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        yield fleet


def test_nothing_of_a_build_outlives_a_killed_executor(fleet: udfleet.LocalFleet, tmp_path: Path) -> None:
    environment = Environment(requirements=["slow-build"], requirements_cache=str(sdist(tmp_path)))
    with registering(fleet, environment):
        # Two, and a daemon whose parent has ended.
        eventually("the build has started all", lambda: len(sleepers(fleet)) == 3, 60)
        running = {*sleepers(fleet), *descendants(fleet.pids["executor-1"])}
        for pid in sleepers(fleet):
            found = status(pid)
            assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
            assert os.geteuid() != 0 or found["Uid"].split() == ["1900000000"] * 4
        os.kill(fleet.pids["executor-1"], signal.SIGKILL)
        eventually("all has ended", lambda: not any(map(alive, running)))


def test_a_build_that_replaces_the_environments_python_fails(
    fleet: udfleet.LocalFleet, environments: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "KEY"
    secret.write_text("a secret")
    backend = f"ENVIRONMENTS, TARGET = {str(environments)!r}, {str(secret)!r}\n{REPLACING}"
    environment = Environment(requirements=["slow-build"], requirements_cache=str(sdist(tmp_path, backend)))
    with pytest.raises(udfleet.EnvironmentFailedError, match=str(secret)):
        fleet.register_function("reads", attempt, environment)


def sleepers(fleet: udfleet.LocalFleet) -> set[int]:
    return {pid for pid in descendants(fleet.pids["executor-1"]) if _sleeps(pid)}


def _sleeps(pid: int) -> bool:
    try:
        return "SIG_IGN" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[2] and alive(pid)
    except (OSError, IndexError):
        return False


def test_an_archive_is_unpacked_in_a_process_of_its_own_that_is_contained(
    fleet: udfleet.LocalFleet, tmp_path: Path
) -> None:
    with registering(fleet, Environment(archives={"data": str(zeros(tmp_path))})):
        unpacking = eventually("it is being unpacked", lambda: unpackers(fleet), 60)
        found = status(min(unpacking))
        assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
        assert {int(found[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
        assert os.geteuid() != 0 or found["Uid"].split() == ["1900000000"] * 4
        os.kill(fleet.pids["executor-1"], signal.SIGKILL)
        eventually("it has ended", lambda: not any(map(alive, unpacking)))


def unpackers(fleet: udfleet.LocalFleet) -> set[int]:
    """Those that have become the program: who looks after them is not contained."""
    return {pid for pid in started(fleet, "unpack") if "--read" not in Path(f"/proc/{pid}/cmdline").read_text()}


def test_archives_bring_what_is_in_them(fleet: udfleet.LocalFleet, tmp_path: Path) -> None:
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w") as archive:
        header = tarfile.TarInfo("weights/a.bin")
        (header.size, header.mode) = (7, 0o600)
        archive.addfile(header, io.BytesIO(b"weights"))
    fleet.register_function("reads", attempt, Environment(archives={"model": str(path)}))
    code = "result = open('model/weights/a.bin').read()"
    assert fleet.call("reads", [code]).to_pylist() == ["did it: 'weights'"]
    refused = fleet.call("reads", ["result = open('model/weights/a.bin', 'a')"]).to_pylist()[0]
    assert refused.startswith("PermissionError")


@pytest.mark.parametrize(
    ("name", "size", "kind"),
    [("../outside", 0, udfleet.EnvironmentFailedError), ("large", 1 << 40, udfleet.LimitExceededError)],
)
def test_what_is_wrong_with_an_archive_is_said_and_nothing_is_left(
    fleet: udfleet.LocalFleet,
    environments: Path,
    tmp_path: Path,
    name: str,
    size: int,
    kind: type[udfleet.UdfleetError],
) -> None:
    path, header = tmp_path / "bad.tar", tarfile.TarInfo(name)
    header.size = size
    path.write_bytes(header.tobuf() + bytes(1024))
    with pytest.raises(kind, match="bad"):
        fleet.register_function("bad", attempt, Environment(archives={"bad": str(path)}))
    built = [entry.name for entry in environments.iterdir() if entry.is_dir() and len(entry.name) >= 16]
    assert built == []
