"""An S3 server, and processes of fleets that keep their artifacts there. `make test-s3` installs the server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import seaweed

from udfleet._local import binaries
from udfleet._local.process import Child

ROOT, PROGRAMS = seaweed.ROOT, seaweed.PROGRAMS
KEY, SECRET, BUCKET = seaweed.KEY, seaweed.SECRET, seaweed.BUCKET
START_SECONDS = 60.0


@dataclass
class Bucket:
    """A bucket on a server of its own."""

    endpoint: str
    process: subprocess.Popen[bytes]

    def options(self, prefix: str) -> list[str]:
        """What a coordinator is told."""
        place = ["--artifact-store", f"s3://{BUCKET}/{prefix}", "--artifact-store-endpoint", self.endpoint]
        return [*place, "--artifact-store-allow-http"]


def _free_ports(count: int) -> list[int]:
    """Ports whose gRPC ports, 10,000 higher, are free too."""
    found: list[int] = []
    for port in range(20_000 + time.time_ns() % 9_000, 50_000):
        try:
            for number in (port, port + 10_000):
                with socket.socket() as tried:
                    tried.bind(("127.0.0.1", number))
        except OSError:
            continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


def _until(what: str, check: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not check():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in time\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True  # Without credentials a bucket refuses: it is there.
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    folder = tmp_path_factory.mktemp("s3")
    log = folder / "weed.log"
    ports = dict(zip(("master", "volume", "filer", "s3", "debug"), _free_ports(5), strict=True))
    command = seaweed.server("127.0.0.1", folder, ports)
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        _until("the S3 server", lambda: _answers(endpoint), process, log)

        def made() -> bool:
            shell = seaweed.shell("127.0.0.1", ports)
            done = subprocess.run(
                shell, input=seaweed.MAKE_BUCKET, text=True, capture_output=True, timeout=60, cwd=folder
            )
            return done.returncode == 0 and "error" not in done.stdout + done.stderr

        _until("its bucket", made, process, log)
        yield Bucket(endpoint, process)
    finally:
        process.kill()  # It takes its time to end otherwise.
        process.wait()


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `meta_store` of an etcd of its own."""
    program = shutil.which("etcd")
    if program is None:
        pytest.skip("etcd is not installed (Debian: etcd-server)")
    folder = tmp_path_factory.mktemp("etcd")
    client, peer = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
    command = [program, "--data-dir", str(folder / "data"), "--logger=zap", "--log-level=warn"]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    command += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    with (folder / "etcd.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _until("etcd", lambda: _answers(f"{client}/health"), process, folder / "etcd.log")
        yield f"etcd://{client.removeprefix('http://')}/tests"
    finally:
        process.kill()
        process.wait()


@dataclass
class Nodes:
    """Processes of a test, in a folder of its own."""

    folder: Path
    children: list[Child]
    ready: dict[str, dict[str, Any]]
    """Where each listens."""

    def _start(self, name: str, command: list[str]) -> dict[str, Any]:
        child = Child(name, command, self.folder / f"{name}.log")
        self.children.append(child)
        self.ready[name] = child.wait_ready(30.0)
        return self.ready[name]

    def coordinator(self, name: str, *options: str) -> str:
        """Starts a coordinator; its address."""
        command = [str(binaries.find_program(binaries.COORDINATOR)), "--listen", "127.0.0.1:0", "--http-listen"]
        command += ["127.0.0.1:0", "--data-dir", str(self.folder / name), *options]
        address: str = self._start(name, command)["grpc"]
        return address

    def executor(self, name: str, coordinator: str, *options: str) -> None:
        """Starts an executor of a coordinator."""
        command = [str(binaries.find_program(binaries.EXECUTOR)), "--coordinator", coordinator, "--id", name]
        command += ["--work-dir", str(self.folder / name), "--interpreters-per-environment", "1"]
        uv = binaries.find_uv()
        self._start(name, [*command, *(["--uv", uv] if uv else []), *options])

    def stop(self, name: str) -> None:
        """Stops one of them."""
        for child in [child for child in self.children if child.name == name]:
            child.terminate()
            child.reap()
            self.children.remove(child)

    def log(self, name: str) -> str:
        """What it has logged."""
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    started = Nodes(tmp_path, [], {})
    yield started
    for child in started.children:
        child.terminate()
    for child in started.children:
        child.reap()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As variables, where Amazon's tools look first."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
