"""One equality for comparisons and groups: the two zeros are equal, NaN equals NaN. Functions can still tell them apart."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from fleet_support import BIGINT, Sum

from udfleet import DataTypes, udaf, udf

DOUBLE = DataTypes.DOUBLE()


@pytest.fixture
def numbers(fleet):
    fleet.register_function("sum_of", udaf(Sum(), input_types=BIGINT, result_type=BIGINT))
    return fleet.from_arrow(pa.table({"x": [0.0, -0.0, math.nan, -math.nan, 1.0], "n": [1, 2, 4, 8, 16]}))


def test_groups(numbers):
    rows = numbers.group_by("x").select("x, sum_of(n) as s").to_arrow().to_pylist()
    assert sorted(row["s"] for row in rows) == [3, 12, 16]


def test_comparisons(numbers):
    rows = numbers.select("n, x = -x as same, x > 5 as large, x = 0 as zero").to_arrow().to_pydict()
    assert rows["same"] == [True, True, True, True, False]
    assert rows["large"] == [False, False, True, True, False]
    assert rows["zero"] == [True, True, False, False, False]


def test_functions_tell_zeros_apart(fleet, numbers):
    fleet.register_function("sign_of", udf(lambda x: math.copysign(1.0, x), DOUBLE, DOUBLE))
    rows = numbers.select("sign_of(x) as s, sign_of(0.0) as plus, sign_of(-0.0) as minus").to_arrow().to_pydict()
    assert rows["s"][:2] == [1.0, -1.0]
    assert (rows["plus"][0], rows["minus"][0]) == (1.0, -1.0), "the literals are two calls"
