"""Streams as files: Arrow, a row for each entry of the state, and a row without a key for where a partition stands.

The schema's metadata say what the stream is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from .. import _private_file
from .._proto.udfleet.v1 import keyed_pb2
from ..errors import InvalidInputError

if TYPE_CHECKING:
    from .._rpc import Rpc

_MANIFEST = b"udfleet.stream"
_FORMAT = 1
_COLUMNS = [
    pa.field("partition", pa.uint32(), nullable=False),
    pa.field("key", pa.binary()),
    pa.field("value", pa.binary(), nullable=False),
]


def export(rpc: Rpc, stream: str, path: str) -> keyed_pb2.StreamInfo:
    """Writes a stream into a new file, which only this user can read."""
    try:
        with _private_file.create(path) as file:
            return _write(rpc, stream, file)
    except FileExistsError:
        raise InvalidInputError(
            f"{path} is there already", hint="choose another file: nothing is overwritten"
        ) from None
    except OSError as error:
        raise InvalidInputError(f"{path} can't be written: {error.strerror or error}") from None


def _write(rpc: Rpc, stream: str, file: BinaryIO) -> keyed_pb2.StreamInfo:
    chunks = rpc.read_state(keyed_pb2.ReadStateRequest(stream=stream))
    info = next(chunks).stream
    manifest = {
        "format": _FORMAT,
        "stream": info.stream,
        "function": info.function,
        "partitions": info.partitions,
        "position": info.position,
        "session": info.session,
        "key_schema": info.key_schema.hex(),
    }
    schema = pa.schema(_COLUMNS, metadata={_MANIFEST: json.dumps(manifest).encode()})
    with pa.ipc.new_file(file, schema) as writer:
        for chunk in chunks:
            writer.write_batch(_batch(chunk, schema))
    file.flush()
    os.fsync(file.fileno())
    return info


def _batch(chunk: keyed_pb2.StateChunk, schema: pa.Schema) -> pa.RecordBatch:
    keys: list[bytes | None] = [entry.key for entry in chunk.entries]
    values = [entry.value for entry in chunk.entries]
    if chunk.record:
        keys, values = [None, *keys], [chunk.record, *values]
    partitions = pa.array([chunk.partition] * len(keys), pa.uint32())
    return pa.RecordBatch.from_arrays([partitions, pa.array(keys, pa.binary()), pa.array(values, pa.binary())],
                                      schema=schema)  # fmt: skip


def restore(rpc: Rpc, path: str, stream: str | None) -> keyed_pb2.StreamInfo:
    """Makes a stream of a file. What was begun and failed is dropped."""
    try:
        with pa.memory_map(path, "rb") as source, pa.ipc.open_file(source) as reader:
            info = _info(reader.schema, path)
            _check_whole(reader, info, path)
            info.stream = stream or info.stream
            return _send(rpc, info, reader)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"{path} is no exported stream: {error}", hint="was it cut off?") from None


def _send(rpc: Rpc, info: keyed_pb2.StreamInfo, reader: Any) -> keyed_pb2.StreamInfo:
    known = {found.stream for found in rpc.streams()}
    if info.stream in known:
        raise InvalidInputError(
            f"there is a stream {info.stream!r} already", hint="import it under another id, or drop that one before"
        )
    try:
        return rpc.import_stream(_chunks(info, reader))
    except BaseException:
        _drop_partial(rpc, info.stream)
        raise


def _drop_partial(rpc: Rpc, stream: str) -> None:
    """Where the import has begun: nobody can open what it has left."""
    if any(found.stream == stream and found.unusable for found in rpc.streams()):
        rpc.drop_stream(keyed_pb2.DropStreamRequest(stream=stream))


def _info(schema: pa.Schema, path: str) -> keyed_pb2.StreamInfo:
    try:
        manifest = json.loads((schema.metadata or {}).get(_MANIFEST, b"{}"))
        if manifest.get("format") != _FORMAT or schema.names != [field.name for field in _COLUMNS]:
            raise InvalidInputError(f"{path} is no exported stream, or one of another version")
        return keyed_pb2.StreamInfo(
            stream=manifest["stream"],
            function=manifest["function"],
            partitions=manifest["partitions"],
            position=manifest["position"],
            session=manifest["session"],
            key_schema=bytes.fromhex(manifest["key_schema"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"{path} is damaged: what it says of its stream is wrong: {error!r}") from None


def _check_whole(reader: Any, info: keyed_pb2.StreamInfo, path: str) -> None:
    found: list[int] = []
    for index in range(reader.num_record_batches):
        batch = reader.get_batch(index)
        found += batch.filter(batch.column("key").is_null()).column("partition").to_pylist()
    if found != list(range(info.partitions)):
        raise InvalidInputError(f"{path} is damaged: not all of its {info.partitions} partitions are there once")


def _chunks(info: keyed_pb2.StreamInfo, reader: Any) -> Iterator[keyed_pb2.StateChunk]:
    yield keyed_pb2.StateChunk(stream=info)
    for index in range(reader.num_record_batches):
        batch = reader.get_batch(index)
        chunk = keyed_pb2.StateChunk()
        for partition, key, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            chunk.partition = partition
            if key is None:
                chunk.record = value
            else:
                chunk.entries.add(key=key, value=value)
        yield chunk
