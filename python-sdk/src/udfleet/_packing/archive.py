"""Zips that depend on their content alone: the same files give the same bytes, hence the same hash."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SKIPPED = frozenset({"__pycache__", ".git", ".hg", ".svn", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


def folder_files(folder: str) -> Iterator[tuple[str, str]]:
    """Path and name within the folder of each file, sorted; caches and version control are left out."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(files):
            path = os.path.join(parent, name)
            if not name.endswith((".pyc", ".pyo")) and os.path.isfile(path):
                yield path, Path(path).relative_to(folder).as_posix()


def write_zip(target: IO[bytes] | str, entries: Iterator[tuple[str, str]], compress: bool = True) -> None:
    """Writes files under their names; only the executable bit is kept of their metadata."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", method) as archive:
        for path, name in entries:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = method
            mode = 0o755 if os.access(path, os.X_OK) else 0o644
            info.external_attr = (0o100000 | mode) << 16
            with open(path, "rb") as source, archive.open(info, "w", force_zip64=True) as entry:
                while chunk := source.read(1 << 20):
                    entry.write(chunk)
