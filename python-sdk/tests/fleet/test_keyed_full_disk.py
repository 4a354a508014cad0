"""The disk of keyed state is full for a while: commits wait, and go on with room."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from cluster_disks import SmallDisk
from keyed_chain import sent
from keyed_fleet import KeyedFleet, drive
from keyed_history import History

ROWS = 80
FULL_SECONDS = 3.0


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    if os.getuid() != 0:
        pytest.skip("mounts need root")
    folder = tmp_path_factory.mktemp("disk")
    try:
        disk = SmallDisk(folder / "state", 16)
    except (OSError, subprocess.CalledProcessError, AssertionError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    yield disk
    disk.close()


def test_commits_wait_for_room(disk: SmallDisk, tmp_path_factory: pytest.TempPathFactory) -> None:
    fleet = KeyedFleet(tmp_path_factory.mktemp("full"), ("--state-store", str(disk._folder / "keyed")))
    try:
        fleet.register("full", 2)
        history, times = History(), {}

        def after(position: int) -> None:
            times[position] = time.monotonic()
            if position == 20:
                disk.fill()
                threading.Timer(FULL_SECONDS, disk.empty).start()

        drive(fleet, "full", "full", ROWS, history, after)
        assert times[30] - times[20] >= FULL_SECONDS - 0.5, "the disk was not needed for a commit"
        assert history.doubtful == []
        history.check(sent(ROWS), fleet.applied("full", "full", ROWS))
    finally:
        fleet.close()
