"""A fleet whose programs have kill points: a test arms one, and the first process that comes there ends or stops.

The programs come from `cargo build --release --workspace --examples`, and are left out where they were not built.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fleet_support import eventually
from keyed_chain import CHAIN, batch, probe
from keyed_history import History

import udfleet
from udfleet._local import binaries
from udfleet._local.process import Child

EXECUTORS = ("e1", "e2", "e3")
TIMEOUT = 2.0
"""Seconds after which a silent executor counts as lost."""
POINTS = "UDFLEET_TEST_KILL_POINTS"


class KeyedFleet:
    """One coordinator and three executors, each of which can be killed and started again."""

    def __init__(self, folder: Path, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.points = folder / "points"
        self.points.mkdir()
        self._options = options
        self._programs = _programs(folder / "bin")
        self.address = f"127.0.0.1:{_free_port()}"
        self._listen = ["--listen", self.address, "--http-listen", "127.0.0.1:0"]
        self.children: dict[str, Child] = {}
        try:
            self.start("coordinator")
            for name in EXECUTORS:
                self.start(name)
            self.client = udfleet.connect(self.address)
            self.wait_whole()
        except BaseException:
            self.close()
            raise

    def start(self, name: str) -> None:
        """Starts a program that does not run."""
        if name == "coordinator":
            command = ["--data-dir", str(self.folder / "data"), "--executor-timeout", f"{TIMEOUT:g}s"]
            command = [str(self._programs / binaries.COORDINATOR), *self._listen, *command]
        else:
            command = [str(self._programs / binaries.EXECUTOR), "--coordinator", self.address, "--id", name]
            command += ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--memory", "2GiB"]
            command += ["--work-dir", str(self.folder / name), "--interpreters-per-environment", "1"]
            command += [
                "--environments-dir",
                os.environ.get("UDFLEET_EXECUTOR_ENVIRONMENTS_DIR") or str(self.folder / "env"),
            ]
            command += [
                "--python",
                binaries.base_python(),
                *(self._options or ("--state-store", str(self.folder / "state"))),
            ]
            uv = binaries.find_uv()
            command += ["--uv", uv] if uv else []
        os.environ[POINTS] = str(self.points)
        try:
            child = Child(name, command, self.folder / f"{name}-{time.monotonic_ns()}.log")
        finally:
            del os.environ[POINTS]
        self.children[name] = child
        child.wait_ready(30.0)

    def wait_whole(self) -> None:
        """Waits until all executors serve."""
        eventually("all executors serve", lambda: self.states() == dict.fromkeys(EXECUTORS, "ready"), 60)

    def states(self) -> dict[str, str]:
        with contextlib.suppress(udfleet.UdfleetError):
            return {executor.id: executor.state for executor in self.client.executors()}
        return {}

    def register(self, name: str, partitions: int = 4, bundle: int = 10) -> None:
        """The function under a name of its own, so that its partitions have no owner yet."""
        config = {"python.fn-execution.bundle.size": bundle}
        self.client.register_function(name, CHAIN, config=config, partitions=partitions)

    def arm(self, point: str, action: str) -> None:
        """The first process that comes to the point is killed or stopped."""
        (self.points / point).write_text(action)

    def taken(self, point: str) -> int:
        """The process that has come to it; 0 before."""
        found = [path for path in self.points.iterdir() if path.stem == point and path.suffix]
        return int(found[0].suffix[1:]) if found else 0

    def forget(self, point: str) -> None:
        """It can be armed again."""
        for path in self.points.glob(f"{point}*"):
            path.unlink()

    def name_of(self, pid: int) -> str:
        return next(name for name, child in self.children.items() if child.pid == pid)

    def mend(self) -> None:
        """Wakes what is stopped, and starts what has ended."""
        for name, child in list(self.children.items()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGCONT)
            if not child.alive():
                child.reap()
                self.start(name)

    def close(self) -> None:
        if hasattr(self, "client"):
            self.client.close()
        for child in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGCONT)
                os.kill(child.pid, signal.SIGKILL)
        for child in self.children.values():
            child.reap()

    def stream(self, function: str, stream: str, batches: list[pa.RecordBatch]) -> Any:
        table = self.client.from_batches(batches)
        return table.key_by("key").process(f"{function}(row)").open_stream(stream, commit="manual")

    def applied(self, function: str, stream: str, count: int) -> dict[str, list[int]]:
        """What the state of each key holds after `count` rows."""
        with self.stream(function, stream, [batch(range(count)), probe()]) as opened:
            assert opened.position == count
            last = next(iter(opened))
            return {result["key"]: result["all"] for result in last.to_pylist()}


def drive(fleet: KeyedFleet, function: str, stream: str, count: int, history: History, after: Any = None) -> None:
    """Sends rows until all are applied, as a client does that opens its stream again after an error; `after` is called with
    the number of rows after each commit.
    """
    deadline = time.monotonic() + 90
    while True:
        try:
            with fleet.stream(function, stream, [batch(range(count))]) as opened:
                history.opened(opened.position)
                for bundle in opened:
                    history.delivered(bundle.first_row, bundle.rows, bundle.to_pylist())
                    history.committing()
                    bundle.commit()
                    history.committed()
                    if after is not None:
                        after(opened.position)
                return
        except udfleet.UdfleetError as error:
            assert time.monotonic() < deadline, f"the stream does not go on: {error}"
            if after is not None:
                after(-1)
            time.sleep(0.1)


def _free_port() -> int:
    """Outside of those that connections are given: the coordinator finds its own again after it was down."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [port for port in range(10_000, 1 << 16) if not low <= port <= high]
    for port in random.sample(ports, len(ports)):
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def _programs(folder: Path) -> Path:
    """The programs with kill points, and the interpreter beside them."""
    release = binaries.find_folder()
    armed = release / "examples"
    if not (armed / binaries.EXECUTOR).exists():
        pytest.skip("programs with kill points were not built: cargo build --release --workspace --examples")
    folder.mkdir()
    for name in (binaries.COORDINATOR, binaries.EXECUTOR):
        try:
            os.link(armed / name, folder / name)
        except OSError:
            shutil.copy2(armed / name, folder / name)
    for name in ("udfleet-interpreter", "libudfleet_interpreter.so"):
        shutil.copy2(release / name, folder / name)
    return folder
