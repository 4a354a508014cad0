"""One private fleet of real processes for all tests here. Build it first: cargo build --release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import udfleet


@pytest.fixture(scope="session")
def fleet() -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as running:
        yield running
