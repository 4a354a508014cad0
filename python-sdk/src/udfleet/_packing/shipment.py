"""Artifacts: files addressed by content, gathered for one registration and sent where missing."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from .._proto.udfleet.v1 import fleet_pb2, function_pb2
from .._rpc import Rpc
from ..errors import InvalidDefinitionError, LimitExceededError
from .archive import folder_files, write_zip

MAX_ARTIFACT_BYTES = 2 << 30
CHUNK_BYTES = 1 << 20

Report = Callable[[str], None]


class Shipment:
    """Artifacts of one registration. A context manager: zips of folders live in a temporary folder."""

    def __init__(self) -> None:
        self._sources: dict[str, bytes | str] = {}
        self._artifacts: dict[str, function_pb2.Artifact] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="udfleet-")

    def __enter__(self) -> Shipment:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def add_bytes(self, name: str, data: bytes) -> function_pb2.Artifact:
        """An artifact held in memory."""
        return self._add(name, data, len(data), hashlib.sha256(data).hexdigest())

    def add_path(self, name: str, path: str) -> function_pb2.Artifact:
        """A file as it is, or a folder as a zip."""
        if os.path.isdir(path):
            path = self._zip(path)
        elif not os.path.isfile(path):
            raise InvalidDefinitionError(f"{path!r} does not exist")
        size = os.path.getsize(path)
        _check_size(path, size)
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        return self._add(name, path, size, digest.hexdigest())

    def _zip(self, folder: str) -> str:
        entries = list(folder_files(folder))
        _check_size(folder, sum(os.path.getsize(path) for path, _ in entries))
        target = os.path.join(self._folder.name, f"{len(self._sources)}-{len(entries)}.zip")
        write_zip(target, iter(entries))
        return target

    def _add(self, name: str, source: bytes | str, size: int, digest: str) -> function_pb2.Artifact:
        self._sources[digest] = source
        self._artifacts[digest] = function_pb2.Artifact(hash=digest, name=name, size=size)
        return function_pb2.Artifact(hash=digest, name=name, size=size)

    def send(self, rpc: Rpc, report: Report, timeout: float | None) -> None:
        """Sends what the coordinator lacks."""
        missing = rpc.missing(list(self._sources))
        wanted = [self._artifacts[digest] for digest in self._sources if digest in missing]
        if wanted:
            size = sum(artifact.size for artifact in wanted)
            files = ", ".join(artifact.name for artifact in wanted)
            report(f"sending {len(wanted)} of {len(self._sources)} artifacts, {_human(size)}: {files}")
        for artifact in wanted:
            rpc.put(self._chunks(artifact), timeout)

    def _chunks(self, artifact: function_pb2.Artifact) -> Iterator[fleet_pb2.ArtifactChunk]:
        yield fleet_pb2.ArtifactChunk(hash=artifact.hash, size=artifact.size)
        source = self._sources[artifact.hash]
        stream: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")
        with stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield fleet_pb2.ArtifactChunk(data=chunk)


def _check_size(path: str, size: int) -> None:
    if size > MAX_ARTIFACT_BYTES:
        raise LimitExceededError(
            f"{path!r} holds {_human(size)}, the limit of one artifact is {_human(MAX_ARTIFACT_BYTES)}",
            hint="name the folders that the function needs, not the one around them",
        )


def _human(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


@functools.lru_cache(maxsize=1)
def pickle_support() -> bytes:
    """Cloudpickle as a zip, so that environments need not install it. Stored, not compressed: zlibs differ."""
    import cloudpickle

    folder = os.path.dirname(cloudpickle.__file__)
    buffer = io.BytesIO()
    entries = ((path, f"cloudpickle/{name}") for path, name in folder_files(folder) if name.endswith(".py"))
    write_zip(buffer, entries, compress=False)
    return buffer.getvalue()
