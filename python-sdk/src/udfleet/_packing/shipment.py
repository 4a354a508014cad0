"""Artifacts: files addressed by content, collected for one registration, and sent if missing."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator

from .._proto.udfleet.v1 import fleet_pb2, function_pb2
from .._rpc import Rpc
from ..errors import InvalidDefinitionError, UdfleetError
from .archive import folder_files, printable, write_zip
from .content import BytesContent, Content, PathContent, human

CHUNK_BYTES = 1 << 20

Report = Callable[[str], None]


class Shipment:
    """Artifacts of one registration."""

    def __init__(self) -> None:
        self._contents: dict[str, Content] = {}
        self._artifacts: dict[str, function_pb2.Artifact] = {}
        self._unreadable: InvalidDefinitionError | None = None

    def add_bytes(self, name: str, data: bytes) -> function_pb2.Artifact:
        """An artifact held in memory."""
        return self._add(name, BytesContent(data))

    def add_path(self, name: str, path: str) -> function_pb2.Artifact:
        """A file as it is, or a folder as a tar."""
        return self._add(name, PathContent(path))

    def add_package(self, name: str, path: str) -> function_pb2.Artifact:
        """A tar that holds a folder under its own name."""
        return self._add(name, PathContent(path, os.path.basename(path)))

    def holds(self, digest: str) -> bool:
        """Whether it has content of this hash."""
        return digest in self._contents

    def _add(self, name: str, content: Content) -> function_pb2.Artifact:
        try:
            artifact = function_pb2.Artifact(hash=content.digest, name=name, size=content.size)
        except UnicodeEncodeError:
            raise InvalidDefinitionError(
                f"the name {printable(name)} is not UTF-8", hint="give it another name, archives as {name: path}"
            ) from None
        self._contents[content.digest] = content
        self._artifacts[content.digest] = artifact
        return artifact

    def send(self, rpc: Rpc, report: Report, timeout: float | None) -> None:
        """Sends what the coordinator lacks."""
        missing = rpc.missing(list(self._contents))
        wanted = [self._artifacts[digest] for digest in self._contents if digest in missing]
        if wanted:
            size = sum(artifact.size for artifact in wanted)
            files = ", ".join(artifact.name for artifact in wanted)
            report(f"sending {len(wanted)} of {len(self._contents)} artifacts, {human(size)}: {files}")
        for artifact in wanted:
            try:
                rpc.put(functools.partial(self._chunks, artifact), timeout)
            except UdfleetError as error:  # noqa: PERF203
                # gRPC does not pass on what was raised while chunks were read.
                raise self._unreadable or error from None

    def _chunks(self, artifact: function_pb2.Artifact) -> Iterator[fleet_pb2.ArtifactChunk]:
        yield fleet_pb2.ArtifactChunk(hash=artifact.hash, size=artifact.size)
        try:
            for piece in _joined(self._contents[artifact.hash].chunks()):
                yield fleet_pb2.ArtifactChunk(data=piece)
        except InvalidDefinitionError as error:
            self._unreadable = error
            raise


def _joined(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces of one size: folders of many small files have many small chunks."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)


@functools.lru_cache(maxsize=1)
def pickle_support() -> bytes:
    """Cloudpickle as a zip, so that environments need not install it."""
    import cloudpickle

    folder = os.path.dirname(cloudpickle.__file__)
    buffer = io.BytesIO()
    write_zip(buffer, ((p, f"cloudpickle/{name}") for p, name in folder_files(folder) if name.endswith(".py")))
    return buffer.getvalue()
