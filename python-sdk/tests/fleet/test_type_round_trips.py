"""100,000 random values of every type go through a function of every func_type and come back as they were."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from type_values import EVERY_TYPE, column

from udfleet import udf
from udfleet.types.arrow import to_arrow
from udfleet.types.sql import parse

ROWS = 100_000
BATCH = 10_000


def same(value):
    return value


def without_nan(array):
    """pandas has one word for NaN and null; so has this comparison, at any depth."""
    if pa.types.is_floating(array.type):
        return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return array


def equal(sent, received):
    sent, received = without_nan(sent), without_nan(received)
    # Equal zeros may differ in their sign.
    same_bits = not pa.types.is_floating(sent.type) or pc.all(pc.equal(pc.sign(sent), pc.sign(received))).as_py()
    return received.equals(sent) and same_bits is not False


@pytest.mark.parametrize("func_type", ["general", "pandas", "arrow"])
@pytest.mark.parametrize("name", EVERY_TYPE)
def test_a_hundred_thousand_values_come_back_as_they_were(fleet, name, func_type):
    data_type = parse(name)
    rng = Random(name)
    # A DataFrame has no null rows.
    nulls = 0 if data_type.root == "ROW" and func_type == "pandas" else 0.05
    columns = [column(data_type, rng, BATCH, nulls) for _ in range(ROWS // BATCH)]
    fleet.register_function("same", udf(same, data_type, data_type, func_type=func_type))
    try:
        answers = fleet.stream("same", [pa.record_batch([sent], ["a"]) for sent in columns])
        for sent, answer in zip(columns, answers, strict=True):
            received = answer.column(0)
            assert received.type == to_arrow(data_type)
            if not equal(sent, received):
                pairs = zip(sent.to_pylist(), received.to_pylist(), strict=True)
                changed = next((pair for pair in pairs if pair[0] != pair[1]), None)
                raise AssertionError(f"{name} through {func_type}: {changed} (sent, received)")
    finally:
        fleet.drop_function("same")
