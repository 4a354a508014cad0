"""Metrics that functions keep. Runs on a bare Python; cheap enough to update for each row.

The interpreter sends what has changed after each call (`MetricGroup.snapshot`); the fleet adds up counters, meters,
histograms and distributions over all interpreters, and keeps each gauge's newest value.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from .sketch import Sketch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Union

    Number = Union[int, float]

MAX_TEXT = 256
"""The longest name of a metric or a group, and the longest value of a group, in bytes."""

MAX_GROUPS = 16
"""The deepest nesting of groups."""

COUNTER, GAUGE, HISTOGRAM, DISTRIBUTION, METER = 1, 2, 3, 4, 5
"""MetricKind of metrics.proto."""


class MetricName:
    """The group and the name of a metric."""

    __slots__ = ("group_name", "name")

    def __init__(self, group_name: str, name: str) -> None:
        self.group_name = group_name
        self.name = name

    def __repr__(self) -> str:
        return f"MetricName({self.group_name!r}, {self.name!r})"


class Metric(ABC):
    """What all kinds have in common."""

    kind: int

    def __init__(self, metric_name: MetricName) -> None:
        self.metric_name = metric_name
        self._changed = True

    @abstractmethod
    def _numbers(self) -> tuple[Any, ...]:
        """Count, sum, min, max, value, unix_ms, span_seconds, and the sketch, as UserMetric has them."""

    def _take(self, changed_only: bool) -> tuple[Any, ...] | None:
        if changed_only and not self._changed:
            return None
        # First, so that a change made meanwhile is reported the next time.
        self._changed = False
        return self._numbers()


class Counter(Metric):
    """A number that goes up and down."""

    kind = COUNTER

    def __init__(self, metric_name: MetricName) -> None:
        super().__init__(metric_name)
        self.value = 0

    def inc(self, n: int = 1) -> None:
        """Adds n."""
        self.value += n
        self._changed = True

    def dec(self, n: int = 1) -> None:
        """Takes n off."""
        self.value -= n
        self._changed = True

    def get_count(self) -> int:
        """The value, in this interpreter."""
        return self.value

    def _numbers(self) -> tuple[Any, ...]:
        return (self.value, 0.0, 0.0, 0.0, 0.0, 0, 0, None)


class Meter(Metric):
    """Events, and their rate over a span of time."""

    kind = METER

    def __init__(self, metric_name: MetricName, time_span_in_seconds: int = 60) -> None:
        super().__init__(metric_name)
        if time_span_in_seconds < 1:
            raise ValueError(f"meter {metric_name.name!r}: the time span must be at least 1 s")
        self.value = 0
        self.time_span_in_seconds = int(time_span_in_seconds)

    def mark_event(self, n: int = 1) -> None:
        """Counts n events."""
        self.value += n
        self._changed = True

    def get_count(self) -> int:
        """The events, in this interpreter."""
        return self.value

    def _numbers(self) -> tuple[Any, ...]:
        return (self.value, 0.0, 0.0, 0.0, 0.0, 0, self.time_span_in_seconds, None)


class Gauge(Metric):
    """The newest of a series of values: set, or asked of a function without arguments."""

    kind = GAUGE

    def __init__(self, metric_name: MetricName, value: Callable[[], Number] | Number | None = None) -> None:
        super().__init__(metric_name)
        self._ask: Callable[[], Number] | None = None
        self.value: float | None = None
        self._unix_ms = 0
        self._changed = False
        if callable(value):
            self._ask = value
        elif value is not None:
            self.set(value)

    def set(self, value: Number) -> None:
        """Sets the value."""
        self.value = float(value)
        self._unix_ms = int(time.time() * 1000)
        self._changed = True

    def _take(self, changed_only: bool) -> tuple[Any, ...] | None:
        if self._ask is not None:
            try:
                value = float(self._ask())
            except BaseException:  # whatever it raises: a gauge that has no value now fails no call
                return None
            # Compared as text: NaN is not a change for ever.
            if repr(value) != repr(self.value):
                self.set(value)
        return None if self.value is None else super()._take(changed_only)

    def _numbers(self) -> tuple[Any, ...]:
        return (0, 0.0, 0.0, 0.0, self.value, self._unix_ms, 0, None)


class Distribution(Metric):
    """Count, sum, least and greatest of values."""

    kind = DISTRIBUTION

    def __init__(self, metric_name: MetricName) -> None:
        super().__init__(metric_name)
        self.count, self.sum, self.min, self.max = 0, 0.0, 0.0, 0.0

    def update(self, value: Number) -> None:
        """Takes a value in; NaN does not count."""
        value = float(value)
        if value != value:
            return
        if self.count == 0:
            self.min = self.max = value
        elif value < self.min:
            self.min = value
        elif value > self.max:
            self.max = value
        self.count += 1
        self.sum += value
        self._changed = True

    def _numbers(self) -> tuple[Any, ...]:
        return (self.count, self.sum, self.min, self.max, 0.0, 0, 0, None)


class Histogram(Distribution):
    """Percentiles of values, within 1 %, also over the whole fleet."""

    kind = HISTOGRAM

    def __init__(self, metric_name: MetricName) -> None:
        super().__init__(metric_name)
        self._sketch = Sketch()

    def update(self, value: Number) -> None:
        """Takes a value in; NaN and infinities do not count."""
        if self._sketch.add(value):
            super().update(value)

    def quantile(self, q: float) -> float:
        """The value below which the part q (0 to 1) of all values in this interpreter lies; NaN without values."""
        return self._sketch.quantile(q)

    def _numbers(self) -> tuple[Any, ...]:
        return (self.count, self.sum, self.min, self.max, 0.0, 0, 0, self._sketch.parts())


def _check(text: str) -> None:
    length = len(text.encode("utf-8", "surrogatepass"))
    if length > MAX_TEXT:
        raise ValueError(f"a metric's name has {length} bytes, more than {MAX_TEXT}: {text[:40]!r}...")


class MetricGroup:
    """A place for metrics: a function's own, or one within it. The same name gives the same metric again."""

    def __init__(self, group_name: str = "", variable: str | None = None, parent: MetricGroup | None = None) -> None:
        self.group_name = group_name
        self._path: tuple[tuple[str, str], ...] = ()
        if parent is not None:
            self._path = (*parent._path, (group_name, "" if variable is None else variable))
        self._groups: dict[tuple[str, str | None], MetricGroup] = {}
        self._metrics: dict[str, Metric] = {}

    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        """A group within this one; with `extra` a variable of that value, which labels the metrics in it."""
        name, extra = str(name), None if extra is None else str(extra)
        group = self._groups.get((name, extra))
        if group is None:
            _check(name)
            _check(extra or "")
            if len(self._path) >= MAX_GROUPS:
                raise ValueError(f"groups of metrics are nested at most {MAX_GROUPS} deep")
            group = self._groups.setdefault((name, extra), MetricGroup(name, extra, self))
        return group

    def counter(self, name: str) -> Counter:
        """A counter."""
        metric: Counter = self._metric(name, Counter)
        return metric

    def gauge(self, name: str, value: Callable[[], Number] | Number | None = None) -> Gauge:
        """A gauge: of a function that is asked after each call, or of what `set` was given last."""
        gauge: Gauge = self._metric(name, Gauge)
        if callable(value):
            gauge._ask = value
        elif value is not None:
            gauge.set(value)
        return gauge

    def histogram(self, name: str) -> Histogram:
        """A histogram: percentiles."""
        metric: Histogram = self._metric(name, Histogram)
        return metric

    def distribution(self, name: str) -> Distribution:
        """A distribution: count, sum, min, max."""
        metric: Distribution = self._metric(name, Distribution)
        return metric

    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        """A meter: events and their rate over a time span."""
        metric: Meter = self._metric(name, Meter, time_span_in_seconds)
        return metric

    def _metric(self, name: str, kind: Any, *args: Any) -> Any:
        metric = self._metrics.get(name)
        if metric is None:
            _check(str(name))
            metric = self._metrics.setdefault(str(name), kind(MetricName(self.group_name, str(name)), *args))
        if type(metric) is not kind:
            kinds = f"a {type(metric).__name__.lower()}, not a {kind.__name__.lower()}"
            raise ValueError(f"the metric {name!r} is {kinds}")
        return metric

    def snapshot(self, changed_only: bool = True) -> list[tuple[Any, ...]]:
        """The metrics here and in groups within, as the fields of a UserMetric in its order:

        groups (pairs of name and value, "" where there is none), name, kind, count, sum, min, max, value, unix_ms,
        span_seconds, positive, positive_count, negative, negative_count, zeros.

        :param changed_only: those that changed since the last snapshot.
        """
        found = []
        for group, metric in self._walk():
            numbers = metric._take(changed_only)
            if numbers is not None:
                sketch: tuple[Any, ...] = numbers[-1] or ([], [], [], [], 0)
                found.append((group._path, metric.metric_name.name, metric.kind, *numbers[:-1], *sketch))
        return found

    def _walk(self) -> Iterator[tuple[MetricGroup, Metric]]:
        for metric in list(self._metrics.values()):
            yield self, metric
        for group in list(self._groups.values()):
            yield from group._walk()
