"""The clients of `make bench` use what is inside of the SDK: they must follow when that changes."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest

import udfleet
from udfleet import udf

BENCH = Path(__file__).parents[3] / "tests/bench"


@udf(input_types=["BIGINT"], result_type="BIGINT")
def benchmarked(i):
    return i + 1


def test_every_way_of_measuring_gets_its_answers(fleet: udfleet.LocalFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    import clients

    fleet.register_function("benchmarked", benchmarked)
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {fleet.token}".encode())])
    peer = clients.Peer(fleet.executors()[0].address, "benchmarked", options)
    batch = pa.record_batch({"i": [1, 2, 3]})
    assert clients.plain_rate(peer, batch, 3) > 0
    assert clients.link_rate(peer, batch, 3) > 0
    assert clients.latency(peer, batch, 3) > 0
    assert clients.fresh(peer, batch, 1) > 0
    sys.modules.pop("clients")


def test_interpreters_start_as_executors_start_them(fleet: udfleet.LocalFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    import yardsticks

    fleet.register_function("benchmarked", benchmarked)
    contained, free = yardsticks.as_started(fleet.pids["executor-1"])
    assert "--read" in contained and "--read" not in free
    assert all(yardsticks.interpreter_start(command) > 0 for command in (contained, free, yardsticks.uncontained()))
    sys.modules.pop("yardsticks")
