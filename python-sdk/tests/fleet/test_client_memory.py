"""What a client of a long stream holds does not grow with the stream."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
from fleet_support import BIGINT

from udfleet import udf

MIB = 1 << 20
ROWS = MIB  # of 8 bytes
BATCHES = 128
SLOW_BATCHES = 20


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_stream_of_a_gibibyte_takes_little_memory(fleet):
    fleet.register_function("same", udf(lambda column: column, BIGINT, BIGINT, func_type="arrow"))
    indices = pa.array([row % 1024 for row in range(ROWS)], pa.int32())
    seen = []

    def given():
        for index in range(BATCHES):
            seen.append(resident())
            yield pa.record_batch({"a": pa.array(range(index, index + 1024), pa.int64()).take(indices)})

    start = resident()
    total = 0
    for index, answer in enumerate(fleet.stream("same", given())):
        if index < SLOW_BATCHES:
            # A consumer that can't keep up: what it has not asked for must wait elsewhere than here.
            time.sleep(0.05)
        column = answer.column(0)
        assert (len(column), column[0].as_py(), column[-1].as_py()) == (ROWS, index, index + 1023)
        total += column.nbytes
        seen.append(resident())
    assert total == BATCHES * ROWS * 8 == 1 << 30
    assert max(seen) - start < 200 * MIB, f"{(max(seen) - start) >> 20} MiB more than at the start"
