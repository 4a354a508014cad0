"""Every point of the protocol of keyed streams at which a process can die, or stop and wake up when others have gone on:
each row is applied once, and its result released once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import keyed_client
import pytest
from fleet_support import eventually
from keyed_fleet import TIMEOUT, KeyedFleet, drive, sent
from keyed_history import History

ROWS = 80
AFTER = 20
"""Rows that are committed before a point is armed which every bundle passes."""

OPENING = ["owner-chosen", "owner-stored", "epoch-claimed", "database-opened"]
COORDINATOR = ["run-forwarded", "confirm-forwarded", "commit-answered"]
EXECUTOR = ["bundle-received", "bundle-run", "bundle-confirmed", "write-buffered", "bundle-durable"]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedFleet]:
    fleet = KeyedFleet(tmp_path_factory.mktemp("keyed"))
    try:
        yield fleet
    finally:
        fleet.close()


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


@pytest.mark.parametrize("action", ["kill", "stop"])
@pytest.mark.parametrize("point", OPENING + COORDINATOR + EXECUTOR)
def test_one(keyed: KeyedFleet, point: str, action: str) -> None:
    _run(keyed, (point,), action, ROWS)


@pytest.mark.parametrize("points", [("bundle-run", "run-forwarded"), ("bundle-durable", "confirm-forwarded")])
def test_coordinator_and_executor(keyed: KeyedFleet, points: tuple[str, ...]) -> None:
    _run(keyed, points, "kill", ROWS)


@pytest.mark.parametrize("action", ["kill", "stop"])
@pytest.mark.parametrize("point", list(keyed_client.POINTS))
def test_client(keyed: KeyedFleet, point: str, action: str, tmp_path: Path) -> None:
    """A client dies, or stops while another goes on with its stream and then wakes up."""
    name = point.replace("-", "_") + "_" + action
    keyed.register(name)
    path = tmp_path / "history"
    command = [sys.executable, keyed_client.__file__, keyed.address, name, "s", str(ROWS), str(keyed.points), str(path)]
    path.touch()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
        # After a commit or two, so that the stream is under way.
        eventually("the client commits", lambda: "committed" in path.read_text())
        keyed.arm(point, action)
        eventually("the client is there", lambda: keyed.taken(point) == client.pid)
        if action == "kill":
            client.wait()
        history = History()
        keyed_client.replay(path, history)
        drive(keyed, name, "s", ROWS, history)
        if action == "stop":
            os.kill(client.pid, signal.SIGCONT)
            _, refused = client.communicate(timeout=60)
            assert "InvalidInputError" in refused
            assert len(path.read_text().splitlines()) <= 4 * ROWS
    keyed.forget(point)
    history.check(sent(ROWS), keyed.applied(name, "s", ROWS))


def _run(keyed: KeyedFleet, points: tuple[str, ...], action: str, count: int) -> None:
    name = "_".join(points).replace("-", "_") + "_" + action
    keyed.register(name)
    fault = Fault(keyed, points, action)
    if points[0] in OPENING:
        fault.arm()
    history = History()
    mender = Mender(fault)
    mender.start()
    try:
        drive(keyed, name, "s", count, history, fault.after)
        for point in points:
            assert keyed.taken(point), f"nothing has come to {point}"
    finally:
        mender.stop()
        keyed.mend()
        for point in points:
            keyed.forget(point)
    keyed.wait_whole()
    history.check(sent(count), keyed.applied(name, "s", count))
    if not set(points) & set(COORDINATOR + OPENING):
        assert history.doubtful == [], "neither the client nor the coordinator has died"


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


def _planted(*, twice: bool = False, lost: bool = False, torn: bool = False) -> None:
    """A history of two bundles, right but for what is planted."""
    history = History()
    history.opened(0)
    applied: dict[str, list[int]] = {"k0": [0, 1, 2, 3]}
    for first in (0, 2):
        results = [
            {"key": "k0", "row": row, "length": row + 1, "before": row - 1 if row else None}
            for row in range(first, first + 2)
        ]
        history.delivered(first, 2, results)
        history.committing()
        if not (lost and first == 2):
            history.committed()
    if twice:
        history.released.append(history.released[-1])
    if torn:
        applied["k0"].insert(2, 1)
    history.check({"k0": [0, 1, 2, 3]}, applied)


def test_the_checker_finds_what_is_planted() -> None:
    _planted()
    with pytest.raises(AssertionError, match="released twice"):
        _planted(twice=True)
    with pytest.raises(AssertionError, match="never came"):
        _planted(lost=True)
    with pytest.raises(AssertionError):
        _planted(torn=True)
