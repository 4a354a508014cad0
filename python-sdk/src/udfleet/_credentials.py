"""The token that a client shows: given, from the environment, or of the fleet of `udfleet up` on this machine."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InvalidConfigError

_LOG = logging.getLogger(__name__)

VARIABLE = "UDFLEET_TOKEN"
FILE_VARIABLE = "UDFLEET_TOKEN_FILE"
LOOK_SECONDS = 1.0
"""How often a file with a token is looked at."""


def find_token(token: str | None, addresses: Sequence[str]) -> str | None:
    """`token`, else what UDFLEET_TOKEN holds, else the file that UDFLEET_TOKEN_FILE names, else the token that
    `udfleet up` of this user keeps for a fleet at one of these addresses.
    """
    if token is not None:
        return token
    if os.environ.get(VARIABLE):
        return os.environ[VARIABLE]
    if os.environ.get(FILE_VARIABLE):
        return read_token(os.environ[FILE_VARIABLE])
    from . import _fleet_record as record

    return next(filter(None, map(record.token_of, addresses)), None)


def followed_file(token: str | None) -> str | None:
    """The file that `find_token` reads the token from, where it is one that others write: it may be replaced."""
    if token is not None or os.environ.get(VARIABLE):
        return None
    return os.environ.get(FILE_VARIABLE) or None


class TokenSource:
    """What a connection shows: a token, or what its file holds now. Thread-safe."""

    def __init__(self, token: str | None, file: str | None = None) -> None:
        self._token = token
        self.file = file
        self._stamp: Any = None
        self._look_at = 0.0
        self._complained = False

    def current(self) -> str | None:
        """The token. A file that can't be read, or holds none, changes nothing."""
        if self.file is None or time.monotonic() < self._look_at:
            return self._token
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            status = os.stat(self.file)
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if stamp != self._stamp:
                self._token, self._stamp = read_token(self.file), stamp
            self._complained = False
        except (OSError, InvalidConfigError) as error:
            if not self._complained:
                _LOG.warning("the former token is shown on: %s", error)
            self._complained = True
        return self._token


def read_token(path: str | Path) -> str:
    """The token that a file holds: its first line, without the white space around it. Others are former ones."""
    try:
        token = "".join(Path(path).read_text().strip().splitlines()[:1]).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfigError(f"token file {path}: {error}", hint="name a file that holds a token") from None
    if not token:
        raise InvalidConfigError(f"token file {path} is empty", hint="name a file that holds a token")
    return token
