"""Folders as tars that depend on their content alone: the same files give the same bytes, hence the same hash.

Nothing is compressed: that takes longer than sending it, and need not be done again where a node has it.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from ..errors import InvalidDefinitionError

_EPOCH = (1980, 1, 1, 0, 0, 0)
_EPOCH_SECONDS = 315_532_800
_SKIPPED = frozenset({"__pycache__", ".git", ".hg", ".svn", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
_BLOCK = 512
_CHUNK = 1 << 20


class Entry(NamedTuple):
    """A file, link or folder below a folder."""

    path: str
    name: str
    status: os.stat_result
    link: str | None = None
    """Where a link leads."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.link is None and stat.S_ISDIR(self.status.st_mode)


def entries(folder: str) -> Iterator[Entry]:
    """What a folder holds, sorted by name.

    Links that stay inside are kept as they are; what others lead to comes in their place. Empty folders are kept.
    Caches of Python and version control are left out, and so is what is neither file, link nor folder.

    :raises InvalidDefinitionError: a link leads to a folder around it, or something can't be read.
    """
    root = os.path.realpath(folder)
    yield from _below(folder, "", root, (root,))


def _below(folder: str, prefix: str, root: str, around: tuple[str, ...]) -> Iterator[Entry]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise InvalidDefinitionError(f"{printable(folder)} can't be read: {error.strerror}") from None
    names = {entry.name for entry in found}
    for entry in found:
        if entry.name in _SKIPPED or _is_compiled(entry.name, names):
            continue
        name = f"{prefix}{entry.name}"
        link = _link_inside(entry, root)
        if link is not None:
            yield Entry(entry.path, name, entry.stat(follow_symlinks=False), link)
            continue
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):
            yield Entry(entry.path, name, status)
        elif stat.S_ISDIR(status.st_mode):
            yield Entry(entry.path, name, status)
            real = os.path.realpath(entry.path)
            if real in around:
                raise InvalidDefinitionError(
                    f"{printable(entry.path)} leads to {printable(real)}, a folder around it: that has no end",
                    hint="name the folders that the function needs, not the one around them",
                )
            yield from _below(entry.path, f"{name}/", root, (*around, real))


def _is_compiled(name: str, names: set[str]) -> bool:
    """Whether Python made it of a file beside it."""
    return name.endswith((".pyc", ".pyo")) and f"{name.rpartition('.')[0]}.py" in names


def _link_inside(entry: os.DirEntry[str], root: str) -> str | None:
    """Where a link leads that works wherever the folder lies, or nowhere; None: it is no link, or another one."""
    if not entry.is_symlink():
        return None
    target = os.readlink(entry.path)
    real = os.path.realpath(entry.path)
    if not os.path.exists(real):
        return target
    inside = real == root or real.startswith(root + os.sep)
    return target if inside and not os.path.isabs(target) else None


def folder_files(folder: str) -> Iterator[tuple[str, str]]:
    """Path and name within the folder of each file, sorted."""
    for entry in entries(folder):
        if not entry.is_folder and os.path.isfile(entry.path):
            yield entry.path, entry.name


def tar_chunks(found: list[Entry]) -> Iterator[bytes]:
    """The bytes of a tar of these entries.

    :raises InvalidDefinitionError: a file can't be read, or changes meanwhile.
    """
    for entry in found:
        info = tarfile.TarInfo(entry.name)
        info.mtime = _EPOCH_SECONDS
        info.mode = stat.S_IMODE(entry.status.st_mode) & 0o777
        if entry.link is not None:
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        elif entry.is_folder:
            info.type, info.mode = tarfile.DIRTYPE, info.mode | 0o700
        else:
            info.size, info.mode = entry.status.st_size, info.mode | 0o600
        yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        if info.type == tarfile.REGTYPE:
            yield from file_chunks(entry.path, info.size)
            yield bytes(-info.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def file_chunks(path: str, size: int) -> Iterator[bytes]:
    """The content of a file of that size.

    :raises InvalidDefinitionError: it can't be read, or changes meanwhile.
    """
    left = size
    try:
        with open(path, "rb") as source:
            while chunk := source.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
    except OSError as error:
        raise InvalidDefinitionError(f"{printable(path)} can't be read: {error.strerror}") from None
    if left:
        raise InvalidDefinitionError(f"{printable(path)} changed while it was read", hint="register again")


def printable(path: str) -> str:
    """A path for a message: names that are not UTF-8 have their bytes escaped."""
    return repr(os.fsencode(path).decode("utf-8", "backslashreplace"))


def write_zip(target: IO[bytes], files: Iterator[tuple[str, str]]) -> None:
    """Writes files under their names; stored, not compressed: zlibs differ."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path, name in files:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o100644 << 16
            with open(path, "rb") as source:
                archive.writestr(info, source.read())
