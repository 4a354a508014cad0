"""Bundles with more results than one part holds: while one waits for its turn, others run in the same interpreter."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from fleet_support import descendants, eventually

import udfleet
from udfleet import DataTypes, KeyedProcessFunction, ValueStateDescriptor, keyed_process

STREAMS = 3
ROWS = 96


class Tripling(KeyedProcessFunction):
    """Three results for each row, each counted in the state of the row's key."""

    def open(self, runtime_context: Any) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", DataTypes.BIGINT()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        for _ in range(3):
            count = (self.seen.value() or 0) + 1
            self.seen.update(count)
            yield ctx.get_current_key(), value.row, count


TRIPLING = keyed_process(
    Tripling,
    input_types=[DataTypes.BIGINT()],
    result_types=DataTypes.ROW(
        [
            DataTypes.FIELD("user", DataTypes.STRING()),
            DataTypes.FIELD("row", DataTypes.BIGINT()),
            DataTypes.FIELD("n", DataTypes.BIGINT()),
        ]
    ),
)


@pytest.fixture(scope="module")
def tripling(files_of_tests: None) -> Iterator[udfleet.LocalFleet]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UDFLEET_TENANT_LIMITS", f"*.streams={STREAMS}")
        with udfleet.local(executors=1, interpreters=1) as fleet:
            # A part has at most as many rows as a bundle: each bundle gives three parts.
            config = {"python.fn-execution.bundle.size": 8}
            fleet.register_function("tripling", TRIPLING, config=config, partitions=1)
            yield fleet


def table(stream: str, count: int) -> pa.Table:
    numbers = list(range(count))
    return pa.table({"user": [f"{stream}-{number % 3}" for number in numbers], "row": pa.array(numbers, pa.int64())})


def test_parts_of_several_streams_in_one_interpreter(tripling: udfleet.LocalFleet) -> None:
    results: dict[str, list[dict[str, Any]]] = {f"stream{number}": [] for number in range(STREAMS)}
    together = threading.Barrier(STREAMS)

    def run(stream_id: str, count: int) -> None:
        source = tripling.from_batches(table(stream_id, count).to_batches(8))
        with source.key_by("user").process("tripling(row)").open_stream(stream_id) as stream:
            together.wait(30)
            for bundle in stream:
                results[stream_id] += bundle.to_pylist()

    def run_all(count: int) -> None:
        threads = [threading.Thread(target=run, args=(stream_id, count)) for stream_id in results]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    run_all(ROWS)
    # What interpreters hold in memory is gone: the rest stands on what was committed.
    for executor in tripling.pids.values():
        for pid in descendants(executor):
            os.kill(pid, signal.SIGKILL)
    run_all(ROWS * 2)
    for stream_id, found in results.items():
        expected = [
            {"user": f"{stream_id}-{row % 3}", "row": row, "n": row // 3 * 3 + result + 1}
            for row in range(ROWS * 2)
            for result in range(3)
        ]
        assert found == expected


def test_streams_count_as_their_tenants(tripling: udfleet.LocalFleet) -> None:
    def opened(stream_id: str) -> Any:
        source = tripling.from_batches(table(stream_id, 8).to_batches())
        return source.key_by("user").process("tripling(row)").open_stream(stream_id)

    def room_for(stream_id: str) -> Any:
        """A stream, once the coordinator has seen that others have ended."""
        try:
            return opened(stream_id)
        except udfleet.NoCapacityError:
            return None

    streams = [eventually("there is room", lambda number=n: room_for(f"tenant{number}")) for n in range(STREAMS)]
    with pytest.raises(udfleet.NoCapacityError, match="streams open"):
        opened("more")
    streams.pop().close()
    streams.append(eventually("there is room again", lambda: room_for("more")))
    assert sum(bundle.rows for bundle in streams[-1]) == 8
    for stream in streams:
        stream.close()
