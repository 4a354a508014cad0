"""Every point of the protocol of keyed streams at which a process can die, or stop and wake up when others have gone on:
each row is applied once, and its result released once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyed_client
import pytest
from fleet_support import eventually
from keyed_chain import sent
from keyed_faults import COORDINATOR, EXECUTOR, OPENING, run_with_fault
from keyed_fleet import KeyedFleet, drive
from keyed_history import History

ROWS = 80


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedFleet]:
    fleet = KeyedFleet(tmp_path_factory.mktemp("keyed"))
    try:
        yield fleet
    finally:
        fleet.close()


@pytest.mark.parametrize("action", ["kill", "stop"])
@pytest.mark.parametrize("point", OPENING + COORDINATOR + EXECUTOR)
def test_one(keyed: KeyedFleet, point: str, action: str) -> None:
    run_with_fault(keyed, (point,), action, ROWS)


@pytest.mark.parametrize("points", [("bundle-run", "run-forwarded"), ("bundle-durable", "confirm-forwarded")])
def test_coordinator_and_executor(keyed: KeyedFleet, points: tuple[str, ...]) -> None:
    run_with_fault(keyed, points, "kill", ROWS)


@pytest.mark.parametrize("action", ["kill", "stop"])
@pytest.mark.parametrize("point", list(keyed_client.POINTS))
def test_client(keyed: KeyedFleet, point: str, action: str, tmp_path: Path) -> None:
    """A client dies, or stops while another goes on with its stream and then wakes up."""
    name = point.replace("-", "_") + "_" + action
    keyed.register(name)
    path = tmp_path / "history"
    command = [
        sys.executable,
        keyed_client.__file__,
        keyed.address,
        name,
        name,
        str(ROWS),
        str(keyed.points),
        str(path),
        point,
        action,
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
        eventually("the client is there", lambda: keyed.taken(point) == client.pid)
        if action == "kill":
            client.wait()
        history = History()
        keyed_client.replay(path, history)
        drive(keyed, name, name, ROWS, history)
        if action == "stop":
            os.kill(client.pid, signal.SIGCONT)
            _, refused = client.communicate(timeout=60)
            assert "InvalidInputError" in refused
            assert len(path.read_text().splitlines()) <= 4 * ROWS
    keyed.forget(point)
    history.check(sent(ROWS), keyed.applied(name, name, ROWS))


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
