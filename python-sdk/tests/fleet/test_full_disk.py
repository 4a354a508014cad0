"""The coordinator's disk is full: what does not fit is refused, nothing half is kept, and it serves again with room."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import BIGINT, eventually, failure_of

import udfleet
from udfleet import udf
from udfleet._local import binaries
from udfleet._local.process import Child

MIB = 1 << 20
MOUNT = 'mount -t tmpfs -o size=24m tmpfs "$1" && shift && exec "$@"'


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[udfleet.Fleet, Path]]:
    """A fleet whose coordinator has a disk of 24 MiB, in a mount namespace of its own; and that disk, seen from here."""
    disk = tmp_path / "disk"
    disk.mkdir()
    isolated = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(disk)]
    if subprocess.run([*isolated, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets users mount nothing, not even in a namespace of their own")
    coordinator = [str(binaries.find_program(binaries.COORDINATOR)), "--data-dir", str(disk)]
    children = [Child("coordinator", [*isolated, *coordinator, *LISTEN], tmp_path / "coordinator.log")]
    try:
        address = children[0].wait_ready(30.0)["grpc"]
        children.append(executor("e1", address, tmp_path))
        with udfleet.connect(address) as fleet:
            eventually("it is attached", lambda: [e.state for e in fleet.executors()] == ["ready"])
            yield fleet, Path(f"/proc/{children[0].pid}/root{disk}")
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.reap()


def executor(name: str, address: str, tmp_path: Path) -> Child:
    """Starts one."""
    command = [str(binaries.find_program(binaries.EXECUTOR)), "--coordinator", address, "--id", name]
    command += ["--work-dir", str(tmp_path / name), "--interpreters-per-environment", "1"]
    uv = binaries.find_uv()
    child = Child(name, [*command, *(["--uv", uv] if uv else [])], tmp_path / f"{name}.log")
    child.wait_ready(30.0)
    return child


LISTEN = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]


def module(folder: Path, size: int) -> Path:
    """A module of this size, of which nothing else has a byte."""
    path = folder / f"m{size}.py"
    text = "".join(hashlib.sha256(f"{size} {line}".encode()).hexdigest() + "\n" for line in range(size // 65))
    path.write_text(f"NUMBER = {size}\nTEXT = '''\n{text}'''\n")
    return path


@pytest.mark.parametrize("size", [3 * MIB, 12 * MIB], ids=["held", "in parts"])
def test_what_does_not_fit_is_refused_and_taken_once_there_is_room(small, tmp_path, size):
    fleet, disk = small
    fleet.register_function("before", udf(lambda a: a + 1, BIGINT, BIGINT))
    name = module(tmp_path, size).stem

    def number(a):
        import importlib

        return a + importlib.import_module(name).NUMBER

    environment = udfleet.Environment(files=[tmp_path / f"{name}.py"])
    filler = disk / "filler"
    with filler.open("wb") as full:
        free = int(subprocess.run(["stat", "-f", "-c", "%a", disk], capture_output=True, check=True).stdout) * 4096
        full.write(bytes(max(0, free - size // 2)))
    scalar = udf(number, BIGINT, BIGINT)
    error = failure_of(udfleet.NoCapacityError, fleet.register_function, "number", scalar, environment=environment)
    assert error.retryable and "artifact store" in str(error)
    assert fleet.call("before", [1]).to_pylist() == [2], "what runs goes on"
    kept = [path for path in disk.glob("artifacts/*/*") if path.stat().st_size == 0 or "#" in path.name]
    assert not kept, "nothing empty or half is left"
    filler.unlink()
    fleet.register_function("number", scalar, environment=environment)
    assert fleet.call("number", [1]).to_pylist() == [1 + size]


def test_what_was_stored_empty_is_found_and_sent_again(small, tmp_path):
    """As a disk leaves files that was full, or was cut off from its power, before anybody checked what it had written."""
    fleet, disk = small
    function = udf(lambda a: a + 1, BIGINT, BIGINT)
    fleet.register_function("plus", function)
    stored = [path for path in disk.glob("artifacts/??/*") if path.stat().st_size > 0]
    assert len(stored) >= 2
    for path in stored:
        path.write_bytes(b"")
    fleet.register_function("plus", function)
    for path in stored:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    second = executor("e2", fleet.address, tmp_path)
    try:
        served = {"e1": "READY", "e2": "READY"}
        eventually(
            "who has nothing loads it too",
            lambda: {e.executor: e.state for e in fleet.function("plus").executors} == served,
        )
        assert fleet.call("plus", [1]).to_pylist() == [2]
    finally:
        second.terminate()
        second.reap()
