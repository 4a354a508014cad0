"""An executor that reports, and answers nothing: its callers get an error, or what another executor answers."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from fleet_support import client_process, eventually
from wedged_proxy import WedgedProxy

import udfleet
from udfleet import DataTypes, errors, udf
from udfleet._flight import silence
from udfleet._local import binaries

COORDINATORS_WAIT = 3.0


@pytest.fixture(scope="module")
def fleet() -> Iterator[udfleet.LocalFleet]:
    before = os.environ.get("UDFLEET_EXCHANGE_TIMEOUT")
    os.environ["UDFLEET_EXCHANGE_TIMEOUT"] = f"{COORDINATORS_WAIT:.0f}s"
    try:
        with udfleet.local(executors=1, interpreters=1) as running:
            yield running
    finally:
        os.environ.pop("UDFLEET_EXCHANGE_TIMEOUT")
        if before is not None:
            os.environ["UDFLEET_EXCHANGE_TIMEOUT"] = before


@pytest.fixture
def hanging(fleet: udfleet.LocalFleet, tmp_path: Path) -> Iterator[WedgedProxy]:
    """A second executor, which is reached through a proxy."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with WedgedProxy(address) as proxy:
        command = [binaries.find_folder() / binaries.EXECUTOR, "--coordinator", fleet.address, "--id", "second"]
        command += ["--listen", address, "--advertise", proxy.address, "--http-listen", "127.0.0.1:0"]
        command += ["--work-dir", tmp_path / "second", "--uv", binaries.find_uv() or "uv"]
        command += ["--interpreters-per-environment", "1", "--label", "path=proxy", "--parent-pid", str(os.getpid())]
        with client_process(fleet, [*map(str, command)], stderr=subprocess.DEVNULL):
            eventually("the second executor", lambda: second(fleet) == "ready")
            yield proxy


def second(fleet: udfleet.LocalFleet) -> str:
    return next((executor.state for executor in fleet.executors() if executor.id == "second"), "")


@udf(result_type=DataTypes.BIGINT())
def increment(value: int) -> int:
    return value + 1


@udf(result_type=DataTypes.BIGINT(), deterministic=False)
def increment_once(value: int) -> int:
    return value + 1


@udf(result_type=DataTypes.BIGINT())
def rest(seconds: int) -> int:
    time.sleep(seconds)
    return seconds


def batches(proxy: WedgedProxy) -> Iterator[pa.RecordBatch]:
    """Their executor hangs from the third one on."""
    for number in range(40):
        proxy.wedged = number >= 2
        yield pa.RecordBatch.from_pydict({"value": pa.array([number * 10 + row for row in range(10)])})


@pytest.mark.parametrize("direct", [False, True], ids=["routed", "direct"])
def test_another_executor_answers(fleet, hanging, direct, monkeypatch):
    monkeypatch.setattr(silence, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(silence, "LOOKS", 12)
    monkeypatch.setattr(silence, "_watching", [])
    fleet.register_function("increment", increment)
    eventually("both executors", lambda: len(fleet.function("increment").executors) == 2)
    with udfleet.connect(fleet.address, fleet.token, direct=direct) as client:
        answers = [batch.column(0).to_pylist() for batch in client.stream("increment", batches(hanging))]
    assert answers == [[number * 10 + row + 1 for row in range(10)] for number in range(40)]
    assert hanging.swallowed > 0, "the executor had batches when it hung"
    assert second(fleet) == "ready", "it reports all the time"
    fleet.drop_function("increment")


@pytest.mark.parametrize("function", [increment, increment_once], ids=["deterministic", "once"])
def test_where_there_is_no_other_the_caller_gets_an_error(fleet, hanging, function):
    fleet.register_function("alone", function, labels={"path": "proxy"})
    with udfleet.connect(fleet.address, fleet.token, direct=False) as client:
        assert client.call("alone", 1).to_pylist() == [2]
        hanging.wedged = True
        with pytest.raises(errors.ExecutorLostError) as caught:
            client.call("alone", 1)
    assert not caught.value.has_no_side_effects
    assert second(fleet) == "ready"
    fleet.drop_function("alone")


def test_a_long_call_does_not_hang(fleet):
    fleet.register_function("rest", rest)
    seconds = int(COORDINATORS_WAIT * 2)
    with udfleet.connect(fleet.address, fleet.token, direct=False) as client:
        assert client.call("rest", seconds).to_pylist() == [seconds]
    fleet.drop_function("rest")
