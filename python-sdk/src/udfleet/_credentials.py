"""The token that a client shows: given, from the environment, or of the fleet of `udfleet up` on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .errors import InvalidConfigError

VARIABLE = "UDFLEET_TOKEN"
FILE_VARIABLE = "UDFLEET_TOKEN_FILE"


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


def read_token(path: str | Path) -> str:
    """The token that a file holds: its first line, without the white space around it. Others are former ones."""
    try:
        token = "".join(Path(path).read_text().strip().splitlines()[:1]).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfigError(f"token file {path}: {error}", hint="name a file that holds a token") from None
    if not token:
        raise InvalidConfigError(f"token file {path} is empty", hint="name a file that holds a token")
    return token
