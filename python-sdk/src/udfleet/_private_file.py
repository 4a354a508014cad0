"""New files that only this user can read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def create(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a new file, which others can't read from its first byte on; nothing is left of one that fails.

    :raises FileExistsError: there is one already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
