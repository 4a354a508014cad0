"""One private fleet of real processes for all tests here. Build it first: cargo build --release."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from fleet_support import alive, descendants

import udfleet


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """In the background of a shell SIGINT is ignored, and programs that tests start inherit that; no handler is."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def files_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Functions of tests write into the tests' folders, which contained interpreters may not see otherwise."""
    os.environ["UDFLEET_EXECUTOR_SANDBOX_WRITE"] = str(tmp_path_factory.getbasetemp())
    # These are root's alone, where root runs the tests.
    os.environ["UDFLEET_EXECUTOR_SANDBOX_WITHOUT"] = "users"


@pytest.fixture(scope="session")
def fleet(files_of_tests: None) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as running:
        yield running
        # Whatever the tests did to its interpreters: they are not all there is to end.
        processes = {*running.pids.values(), *(p for pid in running.pids.values() for p in descendants(pid))}
    assert not {pid for pid in processes if alive(pid)}, "the fleet's processes end with it"
