"""PyFlink's cases of asynchronous functions: retries, chains, timeouts."""

from __future__ import annotations

from fleet_support import BIGINT, STRING, failure_of
from pyflink_cases import tuples

import udfleet
from udfleet import AsyncScalarFunction, col, udf


class FailsFirst(AsyncScalarFunction):
    def open(self, function_context):
        self.tries = {}

    async def eval(self, a):
        self.tries[a] = self.tries.get(a, 0) + 1
        if self.tries[a] == 1:
            raise ConnectionError("try again")
        return a * 10


def test_56_async_functions_are_tried_again(fleet):
    fleet.register_function("case56", udf(FailsFirst(), BIGINT, BIGINT), config={"udfleet.async.retries": 1})
    assert fleet.call("case56", [1, 2, 3]).to_pylist() == [10, 20, 30]


def test_57_async_and_plain_functions_are_chained(fleet):
    async def prefix(s):
        return f"prefix_{s}"

    async def suffix(s):
        return f"{s}_suffix"

    upper = udf(lambda s: s.upper(), STRING, STRING)
    before, after = udf(prefix, STRING, STRING), udf(suffix, STRING, STRING)
    table = fleet.from_elements(["test"], ["s"]).select(after(upper(before(col("s")))))
    assert tuples(table) == [("PREFIX_TEST_suffix",)]


def test_58_async_timeouts_name_the_row(fleet):
    async def slow(s):
        import asyncio

        await asyncio.sleep(0 if s == "fast" else 60)
        return s

    fleet.register_function("case58", udf(slow, STRING, STRING), config={"udfleet.async.timeout": 1000})
    error = failure_of(udfleet.UserCodeError, fleet.call, "case58", ["fast", "slow one"])
    assert error.row == 1 and error.function == "case58@1" and error.exception.type == "TimeoutError"
