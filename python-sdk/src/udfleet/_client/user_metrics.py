"""Metrics that user code keeps, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .._proto.udfleet.v1 import metrics_pb2
from ..sketch import Sketch


@dataclass(frozen=True)
class UserMetricView:
    """A metric of a function, summed over the interpreters that it was asked of."""

    name: str
    """With its groups: `my_group.key=value.name`."""
    kind: str
    """`counter`, `gauge`, `histogram`, `distribution` or `meter`."""
    count: int
    """Counter: its value. Meter: events. Histogram, distribution: how many values."""
    value: float | None
    """Gauge."""
    sum: float
    min: float | None
    max: float | None
    p50: float | None
    """Histogram, within 1 %; p95 and p99 likewise."""
    p95: float | None
    p99: float | None


def user_metrics(messages: Iterable[metrics_pb2.UserMetric]) -> list[UserMetricView]:
    """UserMetrics as views."""
    return [_view(message) for message in messages]


def _view(message: metrics_pb2.UserMetric) -> UserMetricView:
    groups = [f"{group.name}={group.value}" if group.value else group.name for group in message.groups]
    kind = metrics_pb2.MetricKind.Name(message.kind).lower()
    ranged = kind in ("histogram", "distribution") and message.count > 0
    p50, p95, p99 = _quantiles(message) if kind == "histogram" and message.count > 0 else (None, None, None)
    return UserMetricView(
        name=".".join([*groups, message.name]),
        kind=kind,
        count=message.count,
        value=message.value if kind == "gauge" else None,
        sum=message.sum,
        min=message.min if ranged else None,
        max=message.max if ranged else None,
        p50=p50,
        p95=p95,
        p99=p99,
    )


def _quantiles(message: metrics_pb2.UserMetric) -> tuple[float, float, float]:
    sketch = Sketch.of(
        dict(zip(message.positive, message.positive_count, strict=True)),
        dict(zip(message.negative, message.negative_count, strict=True)),
        message.zeros,
    )
    return sketch.quantile(0.5), sketch.quantile(0.95), sketch.quantile(0.99)
