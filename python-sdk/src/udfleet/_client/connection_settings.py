"""What another process needs to connect to the same fleet. Pickles; each process opens one connection."""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._tls import TlsFiles

if TYPE_CHECKING:
    from .fleet import Fleet

_LOCK = threading.Lock()


@dataclass(frozen=True)
class ConnectionSettings:
    """What `connect` is given."""

    address: str
    """Of one coordinator or several, with commas between them."""
    token: str | None = field(repr=False)
    tls: TlsFiles | None
    job: str
    direct: bool
    token_file: str | None = None
    """Where others replace the token. A process that has no such file goes on with the token."""

    def fleet(self) -> Fleet:
        """The connection of the process that asks, made on first use and kept."""
        with _LOCK:
            return _connected(self, os.getpid())


@functools.cache
def _connected(settings: ConnectionSettings, pid: int) -> Fleet:
    # A forked process can't use the connection of the one that it was forked from.
    from .fleet import connect

    tls = settings.tls
    # An empty text is none, whatever the variables of that process say.
    ca, cert, key = (tls.ca or "", tls.cert or "", tls.key or "") if tls else (None, None, None)
    scheme = "grpcs" if tls else "grpc+tcp"
    address = ",".join(f"{scheme}://{each}" for each in settings.address.split(","))
    return connect(
        address,
        settings.token,
        settings.job,
        direct=settings.direct,
        token_file=settings.token_file,
        tls_ca=ca,
        tls_cert=cert,
        tls_key=key,
    )
