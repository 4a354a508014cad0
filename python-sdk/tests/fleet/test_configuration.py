"""What each configuration key does, seen from outside, and which scope wins."""

from __future__ import annotations

import pytest
from fleet_support import BIGINT, STRING, eventually, failure_of

import udfleet
from udfleet import FunctionContext, ScalarFunction, udf

BATCH_SIZE = "python.fn-execution.arrow.batch.size"


def lengths(series):
    """How many rows the function sees at once."""
    return series * 0 + len(series)


def seen(fleet, rows=25):
    return set(fleet.call("lengths", list(range(rows))).to_pylist())


@pytest.mark.parametrize("func_type", ["pandas", "arrow"])
def test_arrow_batch_size_bounds_what_a_function_sees_at_once(fleet, func_type):
    def arrow_lengths(column):
        import pyarrow as pa

        return pa.array([len(column)] * len(column))

    function = lengths if func_type == "pandas" else arrow_lengths
    fleet.register_function("lengths", udf(function, BIGINT, BIGINT, func_type=func_type), config={BATCH_SIZE: 10})
    assert seen(fleet) == {10, 5}
    fleet.register_function("lengths", udf(function, BIGINT, BIGINT, func_type=func_type))
    assert seen(fleet) == {25}, "10,000 by default"


def test_a_function_goes_over_its_job_over_the_fleet(fleet):
    declared = udf(lengths, BIGINT, BIGINT, func_type="pandas")
    job = udfleet.Fleet(fleet.address, token=fleet._rpc._metadata[0][1].removeprefix("Bearer "), config={BATCH_SIZE: 7})
    job.register_function("lengths", declared)
    assert seen(job) == {7, 4}
    eventually("other clients call the new version too", lambda: seen(fleet) == {7, 4})
    job.register_function("lengths", declared, config={BATCH_SIZE: 20})
    assert seen(job) == {20, 5}
    assert fleet.function("lengths").config[BATCH_SIZE] == "20"
    job.close()


class Measures(ScalarFunction):
    def open(self, function_context: FunctionContext) -> None:
        try:
            self.counter = function_context.get_metric_group().counter("rows")
            self.said = "metrics"
        except RuntimeError as error:
            self.counter = None
            self.said = str(error)

    def eval(self, a):
        if self.counter is not None:
            self.counter.inc()
        return self.said


def test_metric_enabled_false_keeps_no_numbers(fleet):
    fleet.register_function("measures", udf(Measures(), BIGINT, STRING), config={"python.metric.enabled": False})
    (said,) = set(fleet.call("measures", [1, 2, 3]).to_pylist())
    assert "python.metric.enabled" in said
    assert fleet.progress("measures").total.rows == 0
    fleet.register_function("measures", udf(Measures(), BIGINT, STRING))
    assert set(fleet.call("measures", [1, 2, 3]).to_pylist()) == {"metrics"}
    assert fleet.progress("measures").total.rows == 3


@pytest.mark.parametrize(
    "key",
    [
        "python.state.cache-size",
        "python.map-state.read-cache-size",
        "python.map-state.write-cache-size",
        "python.map-state.iterate-response-batch-size",
    ],
)
def test_keys_of_keyed_state_are_kept_and_checked(fleet, key):
    """They have no effect until there is keyed state."""
    identity = udf(lambda a: a, BIGINT, BIGINT)
    assert fleet.register_function("stateful", identity, config={key: 7}).config[key] == "7"
    error = failure_of(udfleet.InvalidConfigError, fleet.register_function, "stateful", identity, config={key: -1})
    assert key in str(error) and "expected a whole number" in str(error)


def test_unknown_keys_are_refused_with_the_nearest(fleet):
    identity = udf(lambda a: a, BIGINT, BIGINT)
    error = failure_of(
        udfleet.InvalidConfigError, fleet.register_function, "f", identity, config={"python.metric.enable": True}
    )
    assert "python.metric.enabled" in error.hint
