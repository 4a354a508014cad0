"""How far a reader of functions' output has come, so that it goes on with another coordinator where it was."""

from __future__ import annotations

from ._proto.udfleet.v1 import cluster_pb2


class LogPosition:
    """The newest lines that were read, of each executor."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, int]] = {}
        """The latest time and the highest sequence."""
        self._before: dict[str, tuple[int, int]] = {}
        """The same, when reading began anew."""

    @property
    def begun(self) -> bool:
        """Whether any line was read."""
        return bool(self._newest)

    def resume(self) -> None:
        """Lines from the beginning come next."""
        self._before = dict(self._newest)

    def take(self, line: cluster_pb2.LogLine) -> bool:
        """Notes a line; false where it was read before.

        Sequences begin anew when an executor does, at a later time: a line is known where neither is new.
        """
        before = self._before.get(line.executor)
        if before is not None and line.executor and line.unix_ms <= before[0] and line.sequence <= before[1]:
            return False
        time, sequence = self._newest.get(line.executor, (0, 0))
        self._newest[line.executor] = (max(time, line.unix_ms), max(sequence, line.sequence))
        return True
