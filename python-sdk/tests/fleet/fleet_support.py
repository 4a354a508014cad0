"""What tests on real processes share."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import udfleet
from udfleet import AggregateFunction, DataTypes
from udfleet._client import pool
from udfleet._flight import pipeline
from udfleet._local import binaries

BIGINT = DataTypes.BIGINT()
STRING = DataTypes.STRING()

T = TypeVar("T")


class Sum(AggregateFunction):
    """The simplest there is: without `merge`."""

    def create_accumulator(self) -> list[Any]:
        return [0]

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        accumulator[0] += value

    def get_value(self, accumulator: list[Any]) -> Any:
        return accumulator[0]


def eventually(what: str, check: Callable[[], T], seconds: float = 30.0) -> T:
    """The first true answer of `check`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.02)
    return answer


def failure_of(kind: type[udfleet.UdfleetError], call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The error of that very class which a call raises."""
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    assert type(caught.value) is kind
    return caught.value


def alive(pid: int) -> bool:
    """Whether a process runs: one that is merely not waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        new = set(children.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def processes_naming(path: str | os.PathLike[str]) -> list[int]:
    """Processes that name a file or folder on their command line."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fspath(path) in command.read_text(errors="replace"):
                found.append(int(command.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def program_of(pid: int) -> str:
    """The name of the program that a process runs; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except (FileNotFoundError, ProcessLookupError):
        return ""


def count_streams(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that open streams to executors from now on. Open ones are kept, however long it all takes."""
    threads: list[int] = []

    class Counted(pipeline.ExchangeStream):
        def __init__(self, *arguments: Any) -> None:
            threads.append(threading.get_ident())
            super().__init__(*arguments)

    monkeypatch.setattr(pipeline, "ExchangeStream", Counted)
    monkeypatch.setattr(pool, "STREAM_SECONDS", 600.0)
    return threads


def lines_of(path: str | os.PathLike[str]) -> list[str]:
    """The lines that functions have written into a file so far."""
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def batches(count: int, rows: int, start: int = 0) -> Iterator[Any]:
    """Record batches of one BIGINT column that counts up over all of them."""
    import pyarrow as pa

    for index in range(count):
        first = start + index * rows
        yield pa.record_batch({"a": pa.array(range(first, first + rows), pa.int64())})


@contextlib.contextmanager
def client_process(fleet: udfleet.LocalFleet, command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that is told of the fleet; it is killed in the end."""
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token or ""}
    started = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, **options)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def second_executor(fleet: udfleet.LocalFleet, folder: Path) -> Any:
    """One more executor, named `second`, as long as the context lasts."""
    command = [binaries.find_folder() / binaries.EXECUTOR, "--coordinator", fleet.address, "--id", "second"]
    command += ["--work-dir", folder, "--uv", binaries.find_uv() or "uv", "--interpreters-per-environment", "1"]
    command += ["--parent-pid", str(os.getpid())]
    return client_process(fleet, [*map(str, command)], stderr=subprocess.DEVNULL)


def run_cli(fleet: udfleet.LocalFleet, *arguments: str, status: int = 0, **options: Any) -> Any:
    """The `udfleet` command on a fleet; checks its exit status, and that no traceback of its own is shown."""
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token or ""}
    command = [sys.executable, "-m", "udfleet", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    assert "udfleet/cli" not in done.stderr, done.stderr
    return done
