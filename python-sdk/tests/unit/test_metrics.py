"""Metrics in an interpreter: what functions may do with them, and what is told of them."""

from __future__ import annotations

import random

import pytest

from udfleet import FunctionContext
from udfleet._proto.udfleet.v1 import metrics_pb2
from udfleet.metrics import MetricGroup
from udfleet.sketch import MAX_BUCKETS, Sketch

FIELDS = [field.name for field in metrics_pb2.UserMetric.DESCRIPTOR.fields]


def told(group, changed_only=True):
    return {
        ".".join([*("=".join(filter(None, part)) for part in metric[0]), metric[1]]): dict(zip(FIELDS, metric))
        for metric in group.snapshot(changed_only)
    }


def test_all_kinds_are_told():
    group = FunctionContext(MetricGroup()).get_metric_group()
    group.counter("rows").inc()
    group.counter("rows").inc(4)
    group.counter("rows").dec(7)
    group.meter("events").mark_event(3)
    inner = group.add_group("my").add_group("key", "value")
    distribution = inner.distribution("sizes")
    distribution.update(10)
    distribution.update(2)
    group.gauge("asked", lambda: 42)
    group.gauge("given", 1.5).set(2.5)
    group.histogram("latency").update(0.5)
    metrics = told(group)
    assert metrics["rows"]["count"] == -2 and metrics["rows"]["kind"] == metrics_pb2.COUNTER
    assert (metrics["events"]["count"], metrics["events"]["span_seconds"]) == (3, 60)
    sizes = metrics["my.key=value.sizes"]
    assert sizes["groups"] == (("my", ""), ("key", "value"))
    assert [sizes[name] for name in ("count", "sum", "min", "max")] == [2, 12.0, 2.0, 10.0]
    assert metrics["asked"]["value"] == 42.0 and metrics["given"]["value"] == 2.5 and metrics["given"]["unix_ms"] > 0
    assert metrics["latency"]["positive_count"] == [1]
    assert all(len(metric) == len(FIELDS) for metric in group.snapshot(changed_only=False))


def test_only_changes_are_told():
    group = MetricGroup()
    level = [1]
    counter, gauge = group.counter("c"), group.gauge("g", lambda: level[0])
    assert set(told(group)) == {"c", "g"} and told(group) == {}
    level[0] = 2
    assert set(told(group)) == {"g"}
    counter.inc()
    assert told(group)["c"]["count"] == 1
    assert set(told(group, changed_only=False)) == {"c", "g"}
    assert gauge.value == 2.0


def test_names_are_kept_and_kinds_are_not_mixed():
    group = MetricGroup()
    assert group.counter("a") is group.counter("a")
    assert group.add_group("x", "1") is group.add_group("x", 1) is not group.add_group("x")
    with pytest.raises(ValueError, match="'a' is a counter, not a meter"):
        group.meter("a")
    with pytest.raises(ValueError, match="at least 1 s"):
        group.meter("m", 0)


def test_a_failing_gauge_and_odd_values_harm_nothing():
    group = MetricGroup()
    group.gauge("bad", lambda: 1 / 0)
    group.gauge("unset")
    histogram = group.histogram("h")
    for value in (float("nan"), float("inf"), 0, -0.0):
        histogram.update(value)
    assert (histogram.count, histogram.quantile(0.5)) == (2, 0.0)
    assert set(told(group)) == {"h"}
    assert Sketch().quantile(0.5) != Sketch().quantile(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_within_one_percent(seed):
    chance = random.Random(seed)
    values = [chance.choice((1, -1)) * chance.lognormvariate(0, 3) for _ in range(5000)]
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    values.sort()
    for q in (0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0):
        exact = values[int(q * (len(values) - 1))]
        assert abs(sketch.quantile(q) - exact) <= 0.0101 * abs(exact), q


def test_buckets_are_bounded():
    sketch = Sketch()
    for exponent in range(-300, 300):
        for step in range(10):
            sketch.add((1 + step) * 10.0**exponent)
    positive, counts, *_ = sketch.parts()
    assert len(positive) == MAX_BUCKETS and sum(counts) == 6000
    assert abs(sketch.quantile(0.9) / (10.0**240) - 1) < 0.02


def test_names_without_end_are_refused():
    group = MetricGroup()
    for make in (group.counter, group.gauge, group.histogram, group.distribution, group.meter, group.add_group):
        with pytest.raises(ValueError, match="more than 256"):
            make("x" * 300)
    with pytest.raises(ValueError, match="more than 256"):
        group.add_group("g", "é" * 200)
    with pytest.raises(ValueError, match="deep"):
        for _ in range(20):
            group = group.add_group("g")
