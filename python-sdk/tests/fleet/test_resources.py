"""Devices: each interpreter has its own, never more than there are, and they come back."""

from __future__ import annotations

import os
import signal

import pytest

import udfleet
from udfleet import DataTypes, udf
from udfleet.errors import InfeasibleError

WAIT = 60.0


@udf(input_types=[DataTypes.BIGINT()], result_type=DataTypes.STRING(), deterministic=False)
def devices(_i):
    import os
    import time

    time.sleep(0.05)
    return f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')} {os.environ.get('UDFLEET_RESOURCE_GPU')}"


@pytest.fixture(scope="module")
def fleet():
    os.environ["UDFLEET_EXECUTOR_RESOURCES"] = "gpu=2,licence=1"
    os.environ["UDFLEET_EXECUTOR_LABELS"] = "zone=a"
    try:
        with udfleet.local(executors=1, interpreters=2) as fleet:
            yield fleet
    finally:
        del os.environ["UDFLEET_EXECUTOR_RESOURCES"], os.environ["UDFLEET_EXECUTOR_LABELS"]


def seen(fleet, name, interpreters):
    """What interpreters of a function see: process -> (CUDA_VISIBLE_DEVICES, UDFLEET_RESOURCE_GPU)."""
    import pyarrow as pa

    found = {}
    for _ in range(200):
        batches = (pa.record_batch({"i": [i]}) for i in range(8))
        for answer in fleet.stream(name, batches):
            for text in answer.column(0).to_pylist():
                pid, cuda, gpus = text.split(" ")
                found[int(pid)] = (cuda, gpus)
        if len(found) >= interpreters:
            return found
    raise AssertionError(f"{interpreters} interpreters were expected: {found}")


def test_interpreters_have_distinct_devices_that_a_restart_keeps(fleet):
    # A batch that is sent to an interpreter as that is killed is tried again.
    config = {"udfleet.interpreters": 2, "udfleet.retry.max-attempts": 3}
    fleet.register_function("one", devices, resources={"gpu": 1}, config=config)
    before = seen(fleet, "one", 2)
    assert sorted(before.values()) == [("0", "0"), ("1", "1")]
    executor = fleet.executors()[0]
    assert executor.resources == {"gpu": ["0", "1"], "licence": ["0"]}
    group = fleet.function("one").environment
    assert {(d.kind, d.device, d.environment) for d in executor.devices} == {("gpu", "0", group), ("gpu", "1", group)}

    os.kill(next(iter(before)), signal.SIGKILL)
    for _ in range(100):
        after = seen(fleet, "one", 1)
        if set(after) - set(before):
            break
    after = seen(fleet, "one", 2)
    assert sorted(after.values()) == [("0", "0"), ("1", "1")]

    # Who asks for none sees none.
    fleet.register_function("none", devices)
    assert {cuda for cuda, _ in seen(fleet, "none", 1).values()} == {""}

    # All are held: another waits, says for what, and gets them once they are free.
    with pytest.raises(udfleet.UdfleetError) as refused:
        fleet.register_function("two", devices, resources={"gpu": 2}, timeout=WAIT)
    assert refused.value.code == "NO_CAPACITY"
    fleet.drop_function("one")
    fleet.register_function("two", devices, resources={"gpu": 2}, timeout=WAIT)
    assert set(seen(fleet, "two", 1).values()) == {("0,1", "0,1")}
    fleet.drop_function("two")


def test_wishes_that_nobody_can_meet_are_refused_with_what_there_is(fleet):
    for wish, offered in [
        ({"resources": {"gpu": 3}}, "gpu=2 on 1 executor"),
        ({"resources": {"fpga": 1}}, "licence=1 on 1 executor"),
        ({"labels": {"zone": "b"}}, "zone=a on 1 executor"),
    ]:
        with pytest.raises(InfeasibleError) as refused:
            fleet.register_function("wish", devices, **wish)
        assert offered in str(refused.value) and refused.value.hint
    view = fleet.register_function("here", devices, labels={"zone": "a"}, resources={"licence": 1})
    assert (view.labels, view.resources) == ({"zone": "a"}, {"licence": 1})
    fleet.drop_function("here")
