"""The functions under measure. Both sides of every comparison run the same ones."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from udfleet import DataTypes, udf

BIGINT, DOUBLE = DataTypes.BIGINT(), DataTypes.DOUBLE()


def add(i, j):
    return i + j


def spin(n):
    total = 0
    for k in range(n):
        total += k * k
    return total


def double_pandas(x: pd.Series) -> pd.Series:
    return x + x


def double_arrow(x: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.add(x, x)


REGISTERED = {
    "add": udf(add, input_types=[BIGINT, BIGINT], result_type=BIGINT),
    "spin": udf(spin, input_types=[BIGINT], result_type=BIGINT),
    "double_pandas": udf(double_pandas, input_types=[DOUBLE], result_type=DOUBLE, func_type="pandas"),
    "double_arrow": udf(double_arrow, input_types=[DOUBLE], result_type=DOUBLE, func_type="arrow"),
}
