"""Faults at kill points under a keyed stream, whose results are checked."""

from __future__ import annotations

import os
import signal
import threading

from keyed_chain import sent
from keyed_fleet import TIMEOUT, KeyedFleet, drive
from keyed_history import History

AFTER = 20
"""Rows that are committed before a point is armed which every bundle passes."""

OPENING = ["owner-chosen", "owner-stored", "epoch-claimed", "database-opened"]
COORDINATOR = ["run-forwarded", "confirm-forwarded", "commit-answered"]
EXECUTOR = ["bundle-received", "bundle-run", "bundle-confirmed", "write-buffered", "bundle-durable"]


class Fault:
    """Arms points at the right time, and mends what they have broken while the stream goes on."""

    def __init__(self, fleet: KeyedFleet, points: tuple[str, ...], action: str) -> None:
        self.fleet = fleet
        self.points = points
        self.action = action
        self.armed = False

    def arm(self) -> None:
        self.armed = True
        for point in self.points:
            self.fleet.arm(point, self.action)

    def after(self, position: int) -> None:
        """Called after each commit, and after each failure of the stream (-1)."""
        if not self.armed and position >= AFTER:
            self.arm()


class Mender:
    """Starts the coordinator again at once where it has died, and wakes up what was stopped past the timeout."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _watch(self) -> None:
        try:
            waiting = set(self._fault.points)
            while waiting and not self._ended.wait(0.02):
                for point in [point for point in waiting if self._fault.fleet.taken(point)]:
                    waiting.remove(point)
                    self._mend(self._fault.fleet.taken(point))
        except BaseException as error:
            self.failure = error

    def _mend(self, pid: int) -> None:
        fleet = self._fault.fleet
        name = fleet.name_of(pid)
        if self._fault.action == "stop":
            # Past the time after which others take over, and while the stream goes on.
            self._ended.wait(TIMEOUT + 0.7)
            os.kill(pid, signal.SIGCONT)
        elif name == "coordinator":
            fleet.children[name].reap()
            fleet.start(name)


def run_with_fault(keyed: KeyedFleet, points: tuple[str, ...], action: str, count: int) -> None:
    """A stream of a new function while processes come to these points; checks what its client has seen."""
    name = "_".join(points).replace("-", "_") + "_" + action
    keyed.register(name)
    fault = Fault(keyed, points, action)
    if points[0] in OPENING:
        fault.arm()
    history = History()
    mender = Mender(fault)
    mender.start()
    try:
        drive(keyed, name, name, count, history, fault.after)
        for point in points:
            assert keyed.taken(point), f"nothing has come to {point}"
    finally:
        mender.stop()
        keyed.mend()
        for point in points:
            keyed.forget(point)
    keyed.wait_whole()
    history.check(sent(count), keyed.applied(name, name, count))
    if not set(points) & set(COORDINATOR + OPENING):
        assert history.doubtful == [], "neither the client nor the coordinator has died"
