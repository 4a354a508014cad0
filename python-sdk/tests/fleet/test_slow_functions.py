"""Slow functions harm nobody: a quick one of the same environment is answered while a slow one runs."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
from fleet_support import eventually

import udfleet
from udfleet import DataTypes, udf

BIGINT, STRING = DataTypes.BIGINT(), DataTypes.STRING()


@udf(input_types=[STRING], result_type=BIGINT)
def blocks_until(marker):
    Path(marker + ".entered").touch()
    while not Path(marker).exists():
        time.sleep(0.01)
    return 1


@udf(input_types=[BIGINT], result_type=BIGINT)
def doubles(value):
    return 2 * value


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("executors", [1, 2])
def test_a_quick_function_does_not_wait_for_a_slow_one(tmp_path, direct, executors):
    marker = tmp_path / "go"
    with udfleet.local(executors=executors, interpreters=1) as fleet, contextlib.ExitStack() as stack:
        # However the test ends, the slow call does.
        stack.callback(marker.touch)
        client = stack.enter_context(udfleet.connect(fleet.address, fleet.token, direct=direct))
        client.register_function("slow", blocks_until)
        client.register_function("quick", doubles)
        answers = []

        def call_slow():
            with udfleet.connect(fleet.address, fleet.token, direct=direct) as other:
                answers.append(other.call("slow", str(marker)).to_pylist())

        slow = threading.Thread(target=call_slow, daemon=True)
        slow.start()
        eventually("the slow call runs", lambda: Path(f"{marker}.entered").exists() or None)
        for value in range(30):
            assert client.call("quick", value).to_pylist() == [2 * value]
        assert not answers, "the slow call ran all along"
        marker.touch()
        slow.join(60)
        assert answers == [[1]]


@pytest.mark.parametrize("direct", [True, False])
def test_open_streams_move_from_an_executor_that_a_slow_function_holds(tmp_path, direct):
    marker = tmp_path / "go"
    with udfleet.local(executors=2, interpreters=1) as fleet, contextlib.ExitStack() as stack:
        stack.callback(marker.touch)
        client = stack.enter_context(udfleet.connect(fleet.address, fleet.token, direct=direct))
        client.register_function("slow", blocks_until, config={"udfleet.interpreters": 1})
        client.register_function("quick", udf(doubles.func, BIGINT, BIGINT, deterministic=False))
        batch = pa.record_batch({"a": pa.array([4], pa.int64())})
        # With so many, some are open to the executor that the slow function will hold.
        exchanges = [stack.enter_context(client.exchange("quick")) for _ in range(8)]
        for exchange in exchanges:
            assert exchange.call(batch).to_pylist() == [8]
        other = stack.enter_context(udfleet.connect(fleet.address, fleet.token, direct=direct))
        slow = threading.Thread(target=other.call, args=("slow", str(marker)), daemon=True)
        slow.start()
        eventually("the slow call runs", lambda: Path(f"{marker}.entered").exists() or None)
        for _ in range(3):
            for exchange in exchanges:
                assert exchange.call(batch).to_pylist() == [8]
        assert slow.is_alive(), "the slow call ran all along"
        calls = client.progress("quick").total.calls
        assert calls == 4 * len(exchanges), "each batch has run once"
        marker.touch()
        slow.join(60)
