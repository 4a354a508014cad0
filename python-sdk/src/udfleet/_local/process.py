"""One child process: started, awaited, stopped."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from ..errors import StartupError

_STOP_SECONDS = 15.0
_IN_USE = (
    "something listens there already, perhaps another fleet: `udfleet status` shows one on the default port; "
    "stop it, or choose other ports with --listen and --http-listen"
)
_NOT_PASSED_ON = (
    "_TOKEN",
    "_TOKEN_FILE",
    "_CONFIG",
    "_TLS_CA",
    "_TLS_CERT",
    "_TLS_KEY",
    "_TLS_CLIENT_AUTH",
    "_TLS_ALLOW",
)


@functools.lru_cache(maxsize=1)
def _spawner() -> concurrent.futures.ThreadPoolExecutor:
    # Linux ties "dies with its parent" to the thread that spawned: this one lives as long as the process.
    return concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="udfleet-spawn")


def _environment() -> dict[str, str]:
    """Our environment variables, without the token and the files of another fleet."""
    meant_for_others = (key for key in os.environ if key.startswith("UDFLEET_") and key.endswith(_NOT_PASSED_ON))
    return {key: os.environ[key] for key in os.environ.keys() - set(meant_for_others)}


class Child:
    """A udfleet program that prints one line of JSON when it is ready. Its stderr goes to a file."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        command = [*command, "--parent-pid", str(os.getpid())]
        with log.open("wb") as stderr:
            start = functools.partial(
                subprocess.Popen[bytes],
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=_environment(),
                # Ctrl-C is for the parent, which stops its children in order.
                start_new_session=True,
            )
            self._process = _spawner().submit(start).result()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_ready(self, seconds: float) -> dict[str, Any]:
        """What it printed when it was ready.

        :raises StartupError: it ended or took too long; with the end of its log.
        """
        output = self._process.stdout
        if output is None:
            raise self.failure("has no output")
        deadline, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                raise self.failure(f"was not ready within {seconds:.0f} s")
            chunk = os.read(output.fileno(), 4096)
            if not chunk:
                raise self.failure(f"ended with status {self._process.wait()}")
            line += chunk
        ready: dict[str, Any] = json.loads(line)
        return ready

    def failure(self, what: str) -> StartupError:
        """An error with the end of the child's log."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-15:]
        text = "".join(f"\n  {line}" for line in lines)
        return StartupError(
            f"{self.name} {what}{text}", hint=_IN_USE if "address already in use" in text.lower() else None
        )

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def terminate(self) -> None:
        """Asks it to stop in order."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def reap(self) -> None:
        """Waits for its end, and forces it when that takes too long."""
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
