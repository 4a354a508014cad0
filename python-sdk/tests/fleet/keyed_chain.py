"""A keyed function whose results show each row that is lost, applied twice or released twice: see keyed_history."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from udfleet import DataTypes, KeyedProcessFunction, ListStateDescriptor, keyed_process

KEYS = 5


class Chain(KeyedProcessFunction):
    """Appends each row to its key's list. A negative row asks for the whole list."""

    def open(self, runtime_context: Any) -> None:
        self.rows = runtime_context.get_list_state(ListStateDescriptor("rows", DataTypes.BIGINT()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        rows = list(self.rows.get() or [])
        if value.row < 0:
            yield ctx.get_current_key(), value.row, len(rows), None, rows
        else:
            self.rows.add(value.row)
            yield ctx.get_current_key(), value.row, len(rows) + 1, rows[-1] if rows else None, None


CHAIN = keyed_process(
    Chain,
    input_types=[DataTypes.BIGINT()],
    result_types=DataTypes.ROW(
        [
            DataTypes.FIELD("key", DataTypes.STRING()),
            DataTypes.FIELD("row", DataTypes.BIGINT()),
            DataTypes.FIELD("length", DataTypes.BIGINT()),
            DataTypes.FIELD("before", DataTypes.BIGINT()),
            DataTypes.FIELD("all", DataTypes.ARRAY(DataTypes.BIGINT())),
        ]
    ),
)


def batch(rows: range) -> pa.RecordBatch:
    """These rows, of keys in turns."""
    return pa.record_batch(
        {"key": pa.array([f"k{row % KEYS}" for row in rows], pa.string()), "row": pa.array(rows, pa.int64())}
    )


def probe() -> pa.RecordBatch:
    """A row for each key that asks for its list."""
    return pa.record_batch({"key": [f"k{key}" for key in range(KEYS)], "row": pa.array([-1] * KEYS, pa.int64())})


def sent(count: int) -> dict[str, list[int]]:
    """Which rows each key has."""
    return {f"k{key}": list(range(key, count, KEYS)) for key in range(KEYS)}
