"""The folder that a private fleet works in: gone with the fleet, or when the next one starts."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "udfleet-"
_OWNER = "owner"


class WorkFolder:
    """A fresh folder, owned as long as this process lives: the lock on a file in it ends with the process."""

    def __init__(self) -> None:
        remove_orphans()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if os.geteuid() == 0:
            # root's interpreters run as other users: these pass through, and see nothing of it.
            self.path.chmod(0o711)
        # Locked before it has its name, so that nobody else finds it unlocked.
        unnamed = self.path / f".{_OWNER}"
        self._lock = unnamed.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(self.path / _OWNER)

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def remove_orphans() -> None:
    """Removes what fleets left whose process was killed."""
    for owner in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER}"):
        try:
            with owner.open("r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(owner.parent, ignore_errors=True)
        except OSError:  # noqa: PERF203 - still owned, or another user's
            continue
