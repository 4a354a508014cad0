"""Programs on the hosts of a network: started, killed, paused, stopped in order; their logs are kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cluster_network import Host

_TAIL_BYTES = 6000
T = TypeVar("T")


def eventually(what: str, check: Callable[[], T], seconds: float = 60.0) -> T:
    """The first true answer of `check`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return answer


class Program:
    """One program on one host. It can be started again after it has ended, with the same command and log."""

    def __init__(self, name: str, host: Host, command: Sequence[str | os.PathLike[str]], folder: Path) -> None:
        self.name = name
        self.host = host
        self.log = folder / f"{name}.log"
        self._command = [os.fspath(word) for word in command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts it; does not wait until it does anything. To be called by the thread that lives longest."""
        assert self._process is None, f"{self.name} runs"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.host.command(*self._command),
                env={**_own_environment(), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL; returns when it has gone."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self, seconds: float = 40.0) -> int:
        """SIGTERM, as service managers do; its exit status."""
        assert self._process is not None, f"{self.name} does not run"
        self._process.terminate()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not stopped within {seconds:.0f} s of SIGTERM") from None
        self._process = None
        return status

    def end(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL where it takes longer, as service managers do."""
        with contextlib.suppress(AssertionError):
            self.stop(seconds)
        self.kill()

    def pause(self) -> None:
        """It stands still, as a virtual machine does that is not scheduled; its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def tail(self) -> str:
        """What it has logged last."""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().decode(errors="replace")
        return ""


def _own_environment() -> dict[str, str]:
    """This process's own, but for what it says about other fleets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("UDFLEET_")}
