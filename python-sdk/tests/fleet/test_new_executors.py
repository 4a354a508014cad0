"""Executors that join while a stream runs."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest
from fleet_support import BIGINT, second_executor

import udfleet
from udfleet import udf


def takes_a_while(a):
    import time

    time.sleep(0.01)
    return a


@pytest.mark.parametrize("plan", [False, True], ids=["function", "plan"])
def test_a_running_stream_uses_them(tmp_path, plan):
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("takes_a_while", udf(takes_a_while, BIGINT, BIGINT))
        started = threading.Event()
        calls: dict[str, int] = {}

        def ask():
            while not calls.get("second"):
                executors = fleet.progress("takes_a_while").executors.items()
                calls.update((name, counters.calls) for name, counters in executors)

        def source():
            started.set()
            for number in range(100_000):
                if calls.get("second"):
                    return
                yield pa.record_batch({"a": pa.array([number], pa.int64())})

        if plan:
            schema = pa.schema([("a", pa.int64())])
            answers = fleet.from_batches(source(), schema).select("takes_a_while(a)").execute()
        else:
            answers = fleet.stream("takes_a_while", source())
        values: list[int] = []
        running = threading.Thread(target=lambda: [values.extend(b.column(0).to_pylist()) for b in answers])
        running.start()
        started.wait()
        with second_executor(fleet, tmp_path / "second"):
            asking = threading.Thread(target=ask)
            asking.start()
            running.join()
            asking.join()
            assert values == list(range(len(values)))
            assert len(values) < 100_000 and calls["executor-1"] and calls["second"]
