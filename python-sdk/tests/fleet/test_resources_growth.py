"""Environments that grow take devices as long as nobody needs them, and give them back to those who do."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest
from fleet_support import eventually

import udfleet
from udfleet import DataTypes, udf


@udf(input_types=[DataTypes.BIGINT()], result_type=DataTypes.STRING(), deterministic=False)
def device(_i):
    import os
    import time

    time.sleep(0.05)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.fixture
def fleet(monkeypatch):
    monkeypatch.setenv("UDFLEET_EXECUTOR_RESOURCES", "gpu=2,licence=1")
    monkeypatch.setenv("UDFLEET_EXECUTOR_MAX_INTERPRETERS_PER_ENVIRONMENT", "4")
    monkeypatch.setenv("UDFLEET_EXECUTOR_INTERPRETER_IDLE", "500ms")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        yield fleet


def held(fleet):
    """GPUs that interpreters hold, by what they are held for."""
    devices: dict[str, set[str]] = {}
    for each in fleet.executors()[0].devices:
        if each.kind == "gpu":
            devices.setdefault(each.environment, set()).add(each.device)
    return devices


class Load:
    """Calls of a function all the time, from several threads, which remember what they see."""

    def __init__(self, fleet, name, callers=4):
        self.fleet = fleet
        self.name = name
        self.over = False
        self.seen: dict[str, float] = {}
        self.failures: list[BaseException] = []
        self.threads = [threading.Thread(target=self.call, daemon=True) for _ in range(callers)]
        for thread in self.threads:
            thread.start()

    def call(self):
        batch = pa.record_batch({"i": [1, 2]})
        try:
            while not self.over:
                for answer in self.fleet.stream(self.name, [batch]):
                    for device in answer.column(0).to_pylist():
                        self.seen[device] = time.monotonic()
        except BaseException as failure:
            self.failures.append(failure)

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join(60)
        assert not self.failures


def test_devices_that_growth_has_taken_come_back_to_who_needs_them(fleet):
    fleet.register_function("first", device, resources={"gpu": 1})
    first = fleet.function("first").environment
    load = Load(fleet, "first")
    # Never more than there are, whatever waits.
    eventually("it has grown onto both", lambda: held(fleet) == {first: {"0", "1"}} or None)
    eventually("calls run on both", lambda: set(load.seen) == {"0", "1"} or None)

    # Another function needs one: it gets one, although calls of the first go on waiting.
    needs = {"gpu": 1, "licence": 1}
    fleet.register_function("second", device, resources=needs, config={"udfleet.interpreters": 1}, timeout=60)
    second = fleet.function("second").environment
    assert second != first
    devices = eventually("each has one", lambda: (h := held(fleet)) and len(h) == 2 and h)
    assert len(devices[first]) == len(devices[second]) == 1 and devices[first] != devices[second]
    assert set(fleet.call("second", [1]).to_pylist()) == devices[second]
    load.stop()

    # Without it the first may grow again; without calls it gives back what it does not need.
    fleet.drop_function("second")
    load = Load(fleet, "first")
    eventually("it has grown again", lambda: held(fleet) == {first: {"0", "1"}} or None)
    load.stop()
    eventually("it has shrunk", lambda: len(held(fleet)[first]) == 1 or None)
