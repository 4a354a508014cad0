"""A batch of a stream fails while others are on their way: the caller always gets that batch's error, and in its turn."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from fleet_support import BIGINT

import udfleet
from udfleet import udf


def fails_below_zero(a):
    if a < 0:
        raise ValueError(f"{a} is below zero")
    return a


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "through the coordinator"])
@pytest.mark.parametrize(("rows", "rounds"), [(10, 60), (20_000, 8)])
def test_the_error_is_never_lost(fleet, direct, rows, rounds):
    view = fleet.register_function("below_zero", udf(fails_below_zero, BIGINT, BIGINT))
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    with udfleet.connect(fleet.address, fleet.token, direct=direct) as client:
        for _ in range(rounds):
            failing, row = chance.randrange(30), chance.randrange(rows)
            given = [list(range(index * rows, (index + 1) * rows)) for index in range(30)]
            given[failing][row] = -1
            answers = []
            with pytest.raises(udfleet.UserCodeError) as caught:
                answers.extend(client.stream("below_zero", [pa.record_batch({"a": values}) for values in given]))
            error = caught.value
            assert (error.function, error.row, error.exception.message) == (view.reference, row, "-1 is below zero"), (
                seed
            )
            assert [answer.column(0).to_pylist() for answer in answers] == given[: len(answers)], seed
            assert len(answers) <= failing, seed


def test_an_exchange_ends_with_its_error_and_says_so(fleet):
    fleet.register_function("below_zero", udf(fails_below_zero, BIGINT, BIGINT))
    with fleet.exchange("below_zero") as exchange:
        assert exchange.call(pa.record_batch({"a": [1]})).to_pylist() == [1]
        with pytest.raises(udfleet.UserCodeError) as caught:
            exchange.call(pa.record_batch({"a": [2, -5]}))
        assert (caught.value.row, caught.value.exception.message) == (1, "-5 is below zero")
    with fleet.exchange("below_zero") as exchange:
        assert exchange.call(pa.record_batch({"a": [3]})).to_pylist() == [3]
