"""Capsules as files: what a fleet keeps of a batch that failed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from google.protobuf.message import DecodeError

from .. import _failures
from .._proto.udfleet.v1 import capsule_pb2
from ..errors import InvalidInputError, UdfleetError


class CapsuleFile:
    """A batch that failed, with what it takes to run it again."""

    def __init__(self, message: capsule_pb2.Capsule) -> None:
        self.message = message

    @staticmethod
    def read(path: str | os.PathLike[str]) -> CapsuleFile:
        """:raises InvalidInputError: the file can't be read, or is no capsule."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise InvalidInputError(f"{os.fspath(path)}: {error.strerror}") from None
        return CapsuleFile.decode([data], os.fspath(path))

    @staticmethod
    def decode(pieces: Iterable[bytes], what: str) -> CapsuleFile:
        """:raises InvalidInputError: they are no capsule."""
        try:
            message = capsule_pb2.Capsule.FromString(b"".join(pieces))
        except DecodeError:
            message = capsule_pb2.Capsule()
        if not message.functions:
            raise InvalidInputError(f"{what} is no capsule", hint="`udfleet errors` lists those that a fleet keeps")
        return CapsuleFile(message)

    @property
    def function(self) -> str:
        """`add@3`"""
        return str(self.message.summary.function)

    @property
    def error(self) -> UdfleetError:
        """What it failed with."""
        return _failures.from_info(self.message.error)

    def batch(self) -> pa.RecordBatch:
        """The rows that are kept.

        :raises InvalidInputError: none are.
        """
        if not self.message.input:
            raise InvalidInputError(
                f"capsule {self.message.summary.id} holds no rows: the batch was too large",
                hint="send batches of less than 4 MiB",
            )
        with pa.ipc.open_stream(self.message.input) as reader:
            return reader.read_next_batch()

    def files(self) -> dict[str, bytes]:
        """Contents of artifacts by their hashes; one whose content is another is left out."""
        pieces: dict[str, bytearray] = {}
        for file in self.message.files:
            pieces.setdefault(file.hash, bytearray()).extend(file.data)
        return {digest: bytes(data) for digest, data in pieces.items() if hashlib.sha256(data).hexdigest() == digest}
