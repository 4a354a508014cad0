"""`local`: one coordinator and some executors as child processes, gone when the block ends."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from .._client.fleet import Fleet
from .._client.registration import to_stderr
from .._secret_names import is_name, is_reserved
from ..errors import InvalidConfigError, StartupError
from . import binaries
from .folder import WorkFolder
from .process import Child

_PHASE_SECONDS = 30.0
_POLL_SECONDS = 0.01


class Processes:
    """The processes of a private fleet, and the folder that they work in."""

    def __init__(
        self,
        executors: int,
        interpreters: int | None,
        *,
        max_interpreters: int | None = None,
        token: str | None = None,
        listen: str = "127.0.0.1:0",
        http_listen: str = "127.0.0.1:0",
        data_dir: str | None = None,
        environments_dir: str | None = None,
        pythons: Sequence[str] = (),
        secrets_dir: str | None = None,
        secret_values: Mapping[str, str] | None = None,
        report: Callable[[str], None] = to_stderr,
    ) -> None:
        if not _count(executors):
            raise InvalidConfigError(f"a fleet needs at least one executor, not {executors!r:.100}", hint="executors=2")
        if interpreters is not None and not _count(interpreters):
            raise InvalidConfigError(
                f"an executor needs at least one interpreter, not {interpreters!r:.100}", hint="interpreters=None"
            )
        _check_secrets(secret_values or {})
        self._bin = binaries.find_folder()
        self._report = report
        self._work = WorkFolder()
        self.folder = self._work.path
        self.children: list[Child] = []
        self.token = token
        self.address = self.http_address = ""
        try:
            self._start_coordinator(listen, http_listen, data_dir)
            options = self._executor_options(executors, interpreters, environments_dir, pythons)
            options += ["--state-store", str(Path(data_dir or self.folder / "data") / "state")]
            folder = self._secrets_folder(secrets_dir, secret_values or {})
            options += [] if folder is None else ["--secrets-dir", folder]
            if max_interpreters is not None:
                options += ["--max-interpreters-per-environment", str(max_interpreters)]
            started = [self._start_executor(number, options) for number in range(1, executors + 1)]
            for child in started:
                child.wait_ready(_PHASE_SECONDS)
        except BaseException:
            self.stop()
            raise

    def _token_options(self) -> list[str]:
        if self.token is None:
            return []
        path = self.folder / "token"
        if not path.exists():
            path.touch(0o600)
            path.write_text(self.token)
        return ["--token-file", str(path)]

    def _secrets_folder(self, given: str | None, values: Mapping[str, str]) -> str | None:
        """The folder that executors read; values are put into one that only this user can read."""
        if given is not None and values:
            raise InvalidConfigError("secrets are values or a folder of files, not both")
        if not values:
            return given
        folder = self.folder / "secrets"
        folder.mkdir(0o700)
        for name, value in values.items():
            path = folder / name
            path.touch(0o600)
            path.write_text(value)
        return str(folder)

    def _start_coordinator(self, listen: str, http_listen: str, data_dir: str | None) -> None:
        self._report("starting the coordinator")
        command = [str(self._bin / binaries.COORDINATOR), "--listen", listen, "--http-listen", http_listen]
        command += ["--data-dir", data_dir or str(self.folder / "data"), *self._token_options()]
        child = self._child("coordinator", command)
        ready = child.wait_ready(_PHASE_SECONDS)
        self.address, self.http_address = ready["grpc"], ready["http"]

    def _executor_options(
        self, executors: int, interpreters: int | None, environments_dir: str | None, pythons: Sequence[str]
    ) -> list[str]:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 8 // 10 // executors
        options = ["--coordinator", self.address, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        options += ["--environments-dir", str(environments_folder(environments_dir)), "--memory", str(memory)]
        options += ["--interpreters-per-environment", str(interpreters or max(1, cores // executors))]
        uv = binaries.find_uv()
        options += ["--uv", uv] if uv else []
        for python in (*pythons, binaries.base_python()):
            options += ["--python", python]
        return options + self._token_options()

    def _start_executor(self, number: int, options: list[str]) -> Child:
        name = f"executor-{number}"
        self._report(f"starting {name}")
        work = ["--id", name, "--work-dir", str(self.folder / name)]
        return self._child(name, [str(self._bin / binaries.EXECUTOR), *options, *work])

    def _child(self, name: str, command: list[str]) -> Child:
        child = Child(name, command, self.folder / f"{name}.log")
        self.children.append(child)
        return child

    def wait_attached(self, fleet: Fleet) -> None:
        """Returns when every executor serves."""
        self._report("waiting for the executors to attach")
        expected = len(self.children) - 1
        deadline = time.monotonic() + _PHASE_SECONDS
        while True:
            ready = sum(executor.state == "ready" for executor in fleet.executors())
            if ready >= expected:
                return
            for child in self.children:
                if not child.alive():
                    raise child.failure("ended while the fleet was starting")
            if time.monotonic() > deadline:
                raise StartupError(f"{ready} of {expected} executors attached within {_PHASE_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stops everything and removes the folder. Does nothing the second time."""
        children, self.children = self.children, []
        for child in reversed(children):
            child.terminate()
        for child in reversed(children):
            child.reap()
        self._work.remove()


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_secrets(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if not (is_name(name) and isinstance(value, str)):
            raise InvalidConfigError(
                f"secret {name!r:.100}: names and values are texts", hint='secrets={"API_KEY": key}'
            )
        if is_reserved(name):
            raise InvalidConfigError(
                f"{name} can't be a secret: the interpreter's own variables can't be set",
                hint="PATH, HOME, TMPDIR, PYTHON..., LD_... and UDFLEET_... are its own: choose another name",
            )


def environments_folder(given: str | None) -> Path:
    """Where built environments of local fleets lie."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    named = given or os.environ.get("UDFLEET_EXECUTOR_ENVIRONMENTS_DIR")
    return Path(named) if named else Path(base) / "udfleet" / "environments"


class LocalFleet(Fleet):
    """A fleet of its own: `close`, or the end of the `with` block, stops its processes."""

    def __init__(self, processes: Processes, *args: Any, **kwargs: Any) -> None:
        # Whatever the variables say of the certificates of another fleet.
        super().__init__(f"grpc+tcp://{processes.address}", processes.token, *args, **kwargs)
        self._processes = processes
        self._owner = os.getpid()
        atexit.register(self.close)

    @property
    def token(self) -> str | None:
        """What other clients `connect` with."""
        return self._processes.token

    @property
    def pids(self) -> dict[str, int]:
        """The process of the coordinator and of each executor."""
        return {child.name: child.pid for child in self._processes.children}

    def close(self) -> None:
        """Stops the fleet. In a process that was forked from its owner, it does nothing."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.close)
        super().close()
        self._processes.stop()


def local(
    executors: int = 2,
    interpreters: int | None = None,
    *,
    max_interpreters: int | None = None,
    job: str = "default",
    job_parameters: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    direct: bool = True,
    pythons: Sequence[str] = (),
    environments_dir: str | None = None,
    secrets: Mapping[str, str] | str | None = None,
    on_event: Callable[[str], None] | None = None,
) -> LocalFleet:
    """Starts a private fleet on free loopback ports.

    Its processes end with the block, and with this process, however that ends.

    :param executors: how many executor processes.
    :param interpreters: interpreters per environment and executor; None: the machine's cores shared out.
    :param max_interpreters: to how many an environment may grow while calls wait; None: four for each of these.
    :param pythons: Pythons that the executors offer beside those they find.
    :param environments_dir: where built environments are kept; None: `UDFLEET_EXECUTOR_ENVIRONMENTS_DIR`, else a
        cache in the home folder, so that later fleets start fast.
    :param secrets: values of secrets by name, or a folder with a file for each, for functions that ask for them.
    :param on_event: gets a line per start-up phase; without it, stderr does when it is a terminal.
    """
    processes = Processes(
        executors,
        interpreters,
        max_interpreters=max_interpreters,
        token=token_hex(16),
        environments_dir=environments_dir,
        pythons=pythons,
        secrets_dir=None if secrets is None or isinstance(secrets, Mapping) else os.fspath(secrets),
        secret_values=secrets if isinstance(secrets, Mapping) else None,
        report=on_event or to_stderr,
    )
    fleet = LocalFleet(processes, job, job_parameters, config, direct=direct)
    try:
        fleet.check()
        processes.wait_attached(fleet)
    except BaseException:
        fleet.close()
        raise
    return fleet
