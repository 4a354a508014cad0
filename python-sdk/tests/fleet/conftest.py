"""One private fleet of real processes for all tests here. Build it first: cargo build --release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleet_support import alive, descendants

import udfleet


@pytest.fixture(scope="session")
def fleet() -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as running:
        yield running
        # Whatever the tests did to its interpreters: they are not all there is to end.
        processes = {*running.pids.values(), *(p for pid in running.pids.values() for p in descendants(pid))}
    assert not {pid for pid in processes if alive(pid)}, "the fleet's processes end with it"
