"""What is registered, as a folder: written whole or not at all, and registered again from there in any fleet."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from .. import __version__
from .._packing.content import human
from .._proto.udfleet.v1 import fleet_pb2, function_pb2
from .._rpc import Rpc
from ..errors import InvalidInputError

_MANIFEST = "backup.json"
_FORMAT = 1
_CHUNK_BYTES = 1 << 20

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class BackupSummary:
    """What a backup holds, or what a restore has done."""

    functions: int
    artifacts: int
    bytes: int
    """Of all artifacts."""
    already_present: int = 0
    """Functions that the fleet had already, the same."""


def backup(rpc: Rpc, folder: str, report: Report) -> BackupSummary:
    """Writes everything that is registered into a new folder. It appears when it is complete."""
    folder = os.path.abspath(folder)
    if os.path.lexists(folder):
        raise InvalidInputError(f"{folder} exists already", hint="name a folder that does not: a backup replaces none")
    parent = os.path.dirname(folder)
    with _readable(folder):
        os.makedirs(parent, exist_ok=True)
        partial = tempfile.mkdtemp(prefix=f".{os.path.basename(folder)}.", dir=parent)
    try:
        with _readable(folder):
            summary = _write(rpc, partial, report)
            os.rename(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return summary


def _write(rpc: Rpc, folder: str, report: Report) -> BackupSummary:
    os.mkdir(os.path.join(folder, "functions"))
    os.mkdir(os.path.join(folder, "artifacts"))
    functions, versions, artifacts, access = rpc.export(functools.partial(_write_functions, folder))
    report(f"{len(functions)} functions, {len(artifacts)} artifacts, {human(sum(artifacts.values()))}")
    for digest in artifacts:
        rpc.get(digest, functools.partial(_write_artifact, folder, digest))
    manifest = {
        "format": _FORMAT,
        "udfleet": __version__,
        "functions": functions,
        "versions": versions,
        "artifacts": artifacts,
        "access": access,
    }
    _save(os.path.join(folder, _MANIFEST), iter([json.dumps(manifest, indent=2).encode()]))
    return BackupSummary(len(functions), len(artifacts), sum(artifacts.values()))


def _write_functions(
    folder: str, exported: Iterator[fleet_pb2.ExportFunctionsResponse]
) -> tuple[list[dict[str, str]], dict[str, int], dict[str, int], list[str]]:
    """Definitions with their hashes, last versions by name, sizes of artifacts by hash, records of tokens."""
    functions: list[dict[str, str]] = []
    versions: dict[str, int] = {}
    artifacts: dict[str, int] = {}
    access: list[str] = []
    for item in exported:
        if item.HasField("definition"):
            definition = item.definition
            name = f"{definition.name}@{definition.version}"
            content = definition.SerializeToString(deterministic=True)
            _save(os.path.join(folder, "functions", f"{name}.pb"), iter([content]))
            functions.append({"function": name, "sha256": hashlib.sha256(content).hexdigest()})
            artifacts.update({artifact.hash: artifact.size for artifact in item.artifacts})
        elif item.HasField("access"):
            access.append(item.access.SerializeToString(deterministic=True).hex())
        else:
            versions[item.counter.name] = item.counter.last
    return functions, versions, artifacts, access


def _write_artifact(folder: str, digest: str, pieces: Iterator[bytes]) -> None:
    _save(os.path.join(folder, "artifacts", digest), _verified(digest, pieces))


def restore(rpc: Rpc, folder: str, report: Report) -> BackupSummary:
    """Registers everything that a backup holds, under the same versions. What the fleet has already stays as it is.

    All is looked at before anything is changed: a damaged file, or a function that the fleet has with another
    definition, stops it. One that was interrupted can be run again.
    """
    with _readable(folder):
        manifest = _manifest(folder)
        for digest in manifest["artifacts"]:
            for _ in _verified(digest, _chunks(os.path.join(folder, "artifacts", digest))):
                pass
        definitions = [entry["function"] for entry in manifest["functions"]]
        for definition in _definitions(folder, manifest):
            rpc.import_function(fleet_pb2.ImportFunctionRequest(definition=definition, check_only=True))
        for record in _access(manifest):
            rpc.import_function(fleet_pb2.ImportFunctionRequest(access=record, check_only=True))
        missing = _missing(rpc, list(manifest["artifacts"]))
        report(f"{len(definitions)} functions; sending {len(missing)} of {len(manifest['artifacts'])} artifacts")
        for digest in missing:
            rpc.put(functools.partial(_upload, folder, digest, manifest["artifacts"][digest]), None)
        present = 0
        for definition in _definitions(folder, manifest):
            request = fleet_pb2.ImportFunctionRequest(definition=definition)
            present += rpc.import_function(request).already_present
        for name, last in manifest["versions"].items():
            counter = fleet_pb2.VersionCounter(name=name, last=last)
            rpc.import_function(fleet_pb2.ImportFunctionRequest(counter=counter))
        for record in _access(manifest):
            rpc.import_function(fleet_pb2.ImportFunctionRequest(access=record))
    return BackupSummary(len(definitions), len(missing), sum(manifest["artifacts"].values()), present)


def _manifest(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, _MANIFEST)
    if not os.path.isfile(path):
        raise InvalidInputError(f"{folder} is no backup: {_MANIFEST} is missing")
    with open(path, "rb") as file:
        try:
            manifest = json.load(file)
            found = manifest["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{path} can't be read: {error}", hint="take another backup") from None
    if found != _FORMAT:
        raise InvalidInputError(
            f"{path} has format {found}, this udfleet reads {_FORMAT}", hint="restore it with the udfleet that wrote it"
        )
    return dict(manifest)


def _definitions(folder: str, manifest: dict[str, Any]) -> Iterator[function_pb2.FunctionDefinition]:
    for entry in manifest["functions"]:
        path = os.path.join(folder, "functions", f"{entry['function']}.pb")
        content = b"".join(_chunks(path))
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise _damaged(path)
        yield function_pb2.FunctionDefinition.FromString(content)


def _access(manifest: dict[str, Any]) -> Iterator[fleet_pb2.AccessRecord]:
    for record in manifest.get("access", []):
        yield fleet_pb2.AccessRecord.FromString(bytes.fromhex(record))


def _missing(rpc: Rpc, digests: list[str]) -> list[str]:
    found: set[str] = set()
    for start in range(0, len(digests), 1000):
        found |= rpc.missing(digests[start : start + 1000])
    return [digest for digest in digests if digest in found]


def _upload(folder: str, digest: str, size: int) -> Iterator[fleet_pb2.ArtifactChunk]:
    yield fleet_pb2.ArtifactChunk(hash=digest, size=size)
    for piece in _chunks(os.path.join(folder, "artifacts", digest)):
        yield fleet_pb2.ArtifactChunk(data=piece)


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece


def _verified(digest: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
        yield piece
    if found.hexdigest() != digest:
        raise _damaged(f"artifact {digest}")


def _damaged(what: str) -> InvalidInputError:
    return InvalidInputError(f"{what} is damaged: its content has another hash", hint="take another backup")


def _save(path: str, pieces: Iterator[bytes]) -> None:
    # Written anew where another coordinator had to be asked.
    with open(path, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _readable(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInputError(f"{error.filename or folder}: {error.strerror}") from None
