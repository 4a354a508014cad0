"""Built-in functions against arrow functions that call pyarrow.compute, in the same plans over the same batches."""

from __future__ import annotations

import clients
import numpy as np
import pyarrow as pa
from lines import Fleets, Line

import udfleet
from udfleet import DataTypes, col, udaf, udf

DOUBLE, STRING = DataTypes.DOUBLE(), DataTypes.STRING()
ROWS, BATCHES = 10_000, 100
WORDS = pa.record_batch({"s": [f"word {i} of the line" for i in range(ROWS)]})
GROUPS = pa.record_batch({"k": np.arange(ROWS) % 100, "v": np.arange(ROWS, dtype="f8")})


def utf8_upper(s):
    import pyarrow.compute as pc

    return pc.utf8_upper(s)


def sum_of(v):
    import pyarrow.compute as pc

    return pc.sum(v).as_py()


UPPER = udf(utf8_upper, input_types=[STRING], result_type=STRING, func_type="arrow")
SUM = udaf(sum_of, input_types=[DOUBLE], result_type=DOUBLE, func_type="arrow")


def rate(fleet: udfleet.Fleet, batch: pa.RecordBatch, query) -> float:
    """Rows per second of a query over a table of so many batches."""
    table = fleet.from_batches([batch] * BATCHES)
    query(table).to_arrow()  # what is registered when it is first used is registered now
    return BATCHES * ROWS / clients.timed(lambda: query(table).to_arrow())


def lines(fleets: Fleets) -> list[Line]:
    """The lines."""
    fleet = fleets.one
    queries = [
        ("upper(s)", WORDS, lambda t: t.select("upper(s) as v"), lambda t: t.select(UPPER(col("s")).alias("v"))),
        (
            "sum(v), 100 groups",
            GROUPS,
            lambda t: t.group_by("k").select("k, sum(v) as v"),
            lambda t: t.group_by("k").select(col("k"), SUM(col("v")).alias("v")),
        ),
    ]
    return [
        Line(
            f"built-in {name}",
            "pyarrow.compute in an arrow function",
            0.7,
            "rows/s",
            lambda batch=batch, ours=ours, theirs=theirs: (rate(fleet, batch, ours), rate(fleet, batch, theirs)),
        )
        for name, batch, ours, theirs in queries
    ]
