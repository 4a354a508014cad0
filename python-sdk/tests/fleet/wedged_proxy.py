"""An address of an executor whose exchanges can be stopped while its connections stay alive."""

from __future__ import annotations

import contextlib
import socket

from tcp_proxy import TcpProxy

_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
_FRAME_HEADER = 9


class WedgedProxy(TcpProxy):
    """Relays HTTP/2 to an executor. Once wedged, it swallows what streams are answered, and passes what keeps the
    connection: pings are answered, so that nobody can tell that nothing is. A context manager."""

    def __init__(self, target: str) -> None:
        self.wedged = False
        self.swallowed = 0
        """Frames."""
        super().__init__(target)

    def _back(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            file = source.makefile("rb")
            while len(header := file.read(_FRAME_HEADER)) == _FRAME_HEADER:
                payload = file.read(int.from_bytes(header[:3], "big"))
                if self.wedged and header[3] in (_DATA, _HEADERS, _CONTINUATION):
                    self.swallowed += 1
                else:
                    sink.sendall(header + payload)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
