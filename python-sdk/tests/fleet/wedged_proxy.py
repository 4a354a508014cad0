"""An address of an executor whose exchanges can be stopped while its connections stay alive."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
_FRAME_HEADER = 9


class WedgedProxy:
    """Relays HTTP/2 to an executor. Once wedged, it swallows what streams are answered, and passes what keeps the
    connection: pings are answered, so that nobody can tell that nothing is. A context manager."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.wedged = False
        self.swallowed = 0
        """Frames."""
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> WedgedProxy:
        return self

    def __exit__(self, *_: Any) -> None:
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    near.close()
                    continue
                self._open += [near, far]
                threading.Thread(target=self._relay, args=(near, far), daemon=True).start()
                threading.Thread(target=self._relay_frames, args=(far, near), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _relay_frames(self, source: socket.socket, sink: socket.socket) -> None:
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
