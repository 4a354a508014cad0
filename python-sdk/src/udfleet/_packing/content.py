"""The content of an artifact: bytes, a file, or a folder as a tar. Hashed once as long as it stays as it is."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator

from ..errors import InvalidDefinitionError, LimitExceededError
from .archive import Entry, entries, file_chunks, printable, tar_chunks

MAX_ARTIFACT_BYTES = 2 << 30
_CHUNK = 1 << 20
_MAX_KNOWN = 256
_SETTLED_NS = 2_000_000_000
"""A file that changed this recently may change again without another time of change."""

Fingerprint = tuple[object, ...]


class Content(ABC):
    """What an artifact holds."""

    digest: str
    """Its SHA-256, in hex."""
    size: int

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """The bytes, piece by piece; any number of times."""


class BytesContent(Content):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.digest = hashlib.sha256(data).hexdigest()
        self.size = len(data)
        self._data = data

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), _CHUNK):
            yield self._data[start : start + _CHUNK]


class PathContent(Content):
    """A file as it is, or a folder as a tar.

    :raises InvalidDefinitionError: it does not exist, or can't be read.
    :raises LimitExceededError: it is too large.
    """

    def __init__(self, path: str, within: str = "") -> None:
        """:param within: the name of the folder in the tar that what is in the folder lies in."""
        self._path = path
        self._entries: list[Entry] | None = None
        if os.path.isdir(path):
            self._entries = list(entries(path))
            if within:
                inner = [entry._replace(name=f"{within}/{entry.name}") for entry in self._entries]
                self._entries = [Entry(path, within, os.stat(path)), *inner]
            size = sum(e.status.st_size for e in self._entries if not e.is_folder and e.link is None)
        elif os.path.isfile(path):
            size = os.path.getsize(path)
        else:
            raise InvalidDefinitionError(f"{printable(path)} does not exist")
        if size > MAX_ARTIFACT_BYTES:
            raise LimitExceededError(
                f"{printable(path)} holds {human(size)}, the limit of one artifact is {human(MAX_ARTIFACT_BYTES)}",
                hint="name the folders that the function needs, not the one around them",
            )
        self.digest, self.size = _known.digest(self)

    def chunks(self) -> Iterator[bytes]:
        if self._entries is not None:
            return tar_chunks(self._entries)
        return file_chunks(self._path, os.path.getsize(self._path))

    def fingerprint(self) -> Fingerprint | None:
        """Changes whenever the content does; None: it changed a moment ago, so that nothing is sure."""
        if self._entries is None:
            status = os.stat(self._path)
            statuses: list[tuple[str, os.stat_result, str | None]] = [("", status, None)]
        else:
            statuses = [(entry.name, entry.status, entry.link) for entry in self._entries]
        newest = max((status.st_mtime_ns for _, status, _ in statuses), default=0)
        if time.time_ns() - newest < _SETTLED_NS:
            return None
        return tuple(
            (name, link, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev)
            for name, s, link in statuses
        )


class _Digests:
    """Digests of files and folders that were hashed before. Thread-safe, bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def digest(self, content: PathContent) -> tuple[str, int]:
        """Digest and size of a content."""
        fingerprint = content.fingerprint()
        if fingerprint is None:
            return _hash(content)
        # Of a large folder only the hash of its fingerprint is kept.
        key = hashlib.sha256(repr(fingerprint).encode("utf-8", "surrogateescape")).hexdigest()
        with self._lock:
            found = self._found.get(key)
        if found is None:
            found = _hash(content)
        with self._lock:
            self._found[key] = found
            self._found.move_to_end(key)
            if len(self._found) > _MAX_KNOWN:
                self._found.popitem(last=False)
        return found


_known = _Digests()


def _hash(content: PathContent) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for chunk in content.chunks():
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def human(size: float) -> str:
    """A number of bytes, for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
