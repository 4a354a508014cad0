"""Batches that failed, as a fleet keeps them."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

from .. import _private_file
from .._proto.udfleet.v1 import capsule_pb2, error_pb2
from .._rpc import Rpc
from ..errors import InvalidInputError


@dataclass(frozen=True)
class CapsuleView:
    """A batch that failed and is kept, without what it holds."""

    id: str
    executor: str
    function: str
    """`add@3`; of a query, the function that failed, or all of one stage."""
    time: datetime.datetime
    code: str
    exception: str
    """Its type; empty: there was none."""
    message: str
    rows: int
    """Of the batch that failed."""
    kept_rows: int
    first_row: int
    """The first of the rows that are kept."""
    redacted: list[str]
    """Columns whose values are left out."""

    def __repr__(self) -> str:
        return f"<capsule {self.id} of {self.function}: {self.code}, {self.kept_rows} of {self.rows} rows>"


def capsule_view(summary: capsule_pb2.CapsuleSummary) -> CapsuleView:
    """A CapsuleSummary as a view."""
    known = summary.code in error_pb2.ErrorCode.values()
    return CapsuleView(
        summary.id,
        summary.executor,
        summary.function,
        datetime.datetime.fromtimestamp(summary.unix_ms / 1000, datetime.timezone.utc),
        error_pb2.ErrorCode.Name(summary.code) if known else "INTERNAL",
        summary.exception,
        summary.message,
        summary.rows,
        summary.kept_rows,
        summary.first_row,
        list(summary.redacted),
    )


def listed(rpc: Rpc, name: str) -> list[CapsuleView]:
    """Those of a function, or all, the newest first."""
    views = [capsule_view(summary) for summary in rpc.capsules(name)]
    return sorted(views, key=lambda view: view.time, reverse=True)


def save(rpc: Rpc, name: str, path: str | os.PathLike[str]) -> None:
    """Writes one into a new file, which only this user can read.

    :raises InvalidInputError: the file is there already, or can't be written.
    """
    pieces = rpc.fetch_capsule(name)
    try:
        with _private_file.create(path) as file:
            file.writelines(pieces)
    except OSError as error:
        raise InvalidInputError(f"{os.fspath(path)}: {error.strerror}") from None
