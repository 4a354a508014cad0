"""What a fleet does with streams through functions with keyed state, beside opening them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._proto.udfleet.v1 import keyed_pb2
from . import stream_files
from .arguments import text
from .stream_state import StreamState
from .stream_views import StreamView, stream_view

if TYPE_CHECKING:
    from .._rpc import Rpc

_ID = "the id of a stream"


class Streams:
    """The part of `Fleet` that is about streams."""

    _rpc: Rpc

    def streams(self) -> list[StreamView]:
        """All streams, by their ids."""
        return [stream_view(info) for info in self._rpc.streams()]

    def stream_state(self, stream: str) -> StreamState:
        """The committed state of a stream, which may be open meanwhile.

        :raises InvalidInputError: there is no such stream.
        """
        return StreamState(self._rpc, text(stream, _ID))

    def drop_stream(self, stream: str, *, force: bool = False) -> None:
        """Deletes a stream with its state: nothing is left of it.

        :param force: also where a client has it open, which then gets an error.
        :raises InvalidInputError: there is no such stream, or it is open.
        """
        self._rpc.drop_stream(keyed_pb2.DropStreamRequest(stream=text(stream, _ID), force=bool(force)))

    def export_stream(self, stream: str, file: str) -> StreamView:
        """Writes a stream into a new Arrow file: its state as of one moment, and where it stands then.

        The stream may be open meanwhile.

        :raises InvalidInputError: the file is there already, or can't be written; nothing is left of it then.
        """
        return stream_view(stream_files.export(self._rpc, text(stream, _ID), text(file, "file")))

    def import_stream(self, file: str, stream: str | None = None) -> StreamView:
        """Makes a stream of a file that `export_stream` has written.

        :param stream: its id; None: that which it had.
        :raises InvalidInputError: there is such a stream, or the file is damaged.
        """
        name = None if stream is None else text(stream, _ID)
        return stream_view(stream_files.restore(self._rpc, text(file, "file"), name))
