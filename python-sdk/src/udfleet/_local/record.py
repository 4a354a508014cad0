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
def recorded(address: str) -> Iterator[None]:
    """Records this process's fleet for as long as the block runs."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{address.replace('/', '_')}.json"
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
    return found


def _folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "udfleet" / "fleets"
