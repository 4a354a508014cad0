"""Streams as plain values."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from .._proto.udfleet.v1 import keyed_pb2


@dataclass(frozen=True)
class StreamView:
    """A stream through a function with keyed state."""

    id: str
    function: str
    """The version that has opened it last, `name@version`."""
    partitions: int
    position: int
    """Rows that are applied, as was known some seconds ago."""
    is_open: bool
    coordinator: str
    """Where it is open; empty: nowhere."""
    holder: str
    """Whose token has it open."""
    opened: datetime.datetime | None
    """Since when."""
    folder: str
    """Of its state, below the executors' `--state-store`."""
    is_usable: bool
    """False while it is dropped or imported."""


def stream_view(info: keyed_pb2.StreamInfo) -> StreamView:
    """What the coordinator says of a stream."""
    opened = info.opened_unix_ms / 1000
    return StreamView(
        id=info.stream,
        function=info.function,
        partitions=info.partitions,
        position=info.position,
        is_open=bool(info.coordinator),
        coordinator=info.coordinator,
        holder=info.holder,
        opened=datetime.datetime.fromtimestamp(opened, datetime.timezone.utc) if info.coordinator else None,
        folder=info.state,
        is_usable=not info.unusable,
    )
