"""Which fleets `udfleet up` runs on this machine, for `udfleet down` and for the next `udfleet up`.

Each has a file that its process keeps locked: who can lock one knows that its fleet is gone, so no process id is ever
taken for another's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_POLL_SECONDS = 0.05
_SECRET = ".token"  # noqa: S105 - the end of a file's name


@dataclass(frozen=True)
class FleetRecord:
    """A fleet that runs here.

    :ivar address: where its coordinator listens, `host:port`.
    :ivar pid: the `udfleet up` process, which stops the fleet in order upon SIGTERM.
    :ivar started: seconds since the epoch.
    """

    address: str
    pid: int
    started: float

    def stop(self, seconds: float) -> bool:
        """Asks the fleet to stop; true when it has within `seconds`."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while find(self.address) == self:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


@contextlib.contextmanager
def recorded(address: str, token: str) -> Iterator[None]:
    """Records this process's fleet and its token for as long as the block runs."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, secret = _paths(address)
    _keep(secret, token)
    unnamed = folder / f".{os.getpid()}"
    with unnamed.open("w") as file:
        json.dump(asdict(FleetRecord(address, os.getpid(), time.time())), file)
        file.flush()
        # Locked before it has its name, so that nobody else finds it unlocked.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            secret.unlink(missing_ok=True)


def find(address: str) -> FleetRecord | None:
    """The fleet whose coordinator listens at `address`, if `udfleet up` of this user runs one."""
    return next((record for record in running() if record.address == address), None)


def running() -> list[FleetRecord]:
    """All fleets that this user's `udfleet up` runs here; files of those that were killed are removed."""
    found = []
    for path in sorted(_folder().glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError), path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(FleetRecord(**json.load(file)))
            else:
                path.unlink(missing_ok=True)
                path.with_suffix(_SECRET).unlink(missing_ok=True)
    return found


def token_of(address: str) -> str | None:
    """The token of the fleet that this user's `udfleet up` runs at `address`."""
    # Of a fleet that was killed the token stays behind: whoever listens there now must not be sent it.
    if find(address) is None:
        return None
    with contextlib.suppress(OSError):
        return _paths(address)[1].read_text().strip() or None
    return None


def _paths(address: str) -> tuple[Path, Path]:
    path = _folder() / f"{address.replace('/', '_')}.json"
    return path, path.with_suffix(_SECRET)


def _keep(path: Path, token: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)


def _folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "udfleet" / "fleets"
