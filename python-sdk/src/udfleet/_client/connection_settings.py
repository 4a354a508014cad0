"""What another process needs to connect to the same fleet. Pickles; each process opens one connection."""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fleet import Fleet

_LOCK = threading.Lock()


@dataclass(frozen=True)
class ConnectionSettings:
    """What `connect` is given."""

    address: str
    """Of one coordinator or several, with commas between them."""
    token: str | None = field(repr=False)
    job: str
    direct: bool

    def fleet(self) -> Fleet:
        """The connection of the process that asks, made on first use and kept."""
        with _LOCK:
            return _connected(self, os.getpid())


@functools.cache
def _connected(settings: ConnectionSettings, pid: int) -> Fleet:
    # A forked process can't use the connection of the one that it was forked from.
    from .fleet import connect

    return connect(settings.address, settings.token, settings.job, direct=settings.direct)
