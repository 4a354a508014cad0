"""Keyed state in a bucket: executors share nothing else, and whichever of them dies, each row is applied once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from keyed_chain import sent
from keyed_faults import run_with_fault
from keyed_fleet import KeyedFleet, drive
from keyed_history import History
from service_programs import BUCKET, KEY, SECRET, Bucket

ROWS = 80


@pytest.fixture(scope="module")
def keyed(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedFleet]:
    place = ("--state-store", f"s3://{BUCKET}/keyed", "--state-store-endpoint", bucket.endpoint)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("AWS_ACCESS_KEY_ID", KEY)
        variables.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        fleet = KeyedFleet(tmp_path_factory.mktemp("keyed"), (*place, "--state-store-allow-http"))
        try:
            yield fleet
        finally:
            fleet.close()


@pytest.mark.parametrize("action", ["kill", "stop"])
@pytest.mark.parametrize("point", ["epoch-claimed", "database-opened", "bundle-confirmed", "write-buffered"])
def test_an_executor_dies_or_sleeps(keyed: KeyedFleet, point: str, action: str) -> None:
    run_with_fault(keyed, (point,), action, ROWS)
    assert not (keyed.folder / "state").exists()


def test_the_bucket_is_silent_for_a_while(keyed: KeyedFleet, bucket: Bucket) -> None:
    """Commits wait, and nothing is lost."""
    keyed.register("silent")
    history = History()
    silences: list[float] = []

    def silence(position: int) -> None:
        if position == 20:
            os.kill(bucket.process.pid, signal.SIGSTOP)
            wake = threading.Timer(6.0, os.kill, (bucket.process.pid, signal.SIGCONT))
            silences.append(time.monotonic())
            wake.start()
        elif silences and position == 30:
            silences.append(time.monotonic())

    try:
        drive(keyed, "silent", "s", ROWS, history, silence)
    finally:
        os.kill(bucket.process.pid, signal.SIGCONT)
    assert silences[1] - silences[0] > 5.0, "the bucket was not needed for a commit"
    assert history.doubtful == []
    history.check(sent(ROWS), keyed.applied("silent", "s", ROWS))
