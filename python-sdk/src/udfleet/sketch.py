"""DDSketch (Masson et al., VLDB 2019): quantiles within 1 %, mergeable by addition. Runs on a bare Python."""

from __future__ import annotations

from math import ceil, inf, log, nan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GAMMA = 1.01 / 0.99
"""Bucket i holds values v with GAMMA^(i-1) < |v| <= GAMMA^i."""
MAX_BUCKETS = 2048
"""Of each sign: more than 17 orders of magnitude. Beyond it, the smallest values share a bucket."""

_PER_LOG = 1.0 / log(GAMMA)


class Sketch:
    """Counts of values in buckets that grow by GAMMA."""

    __slots__ = ("_negative", "_positive", "_zeros")

    def __init__(self) -> None:
        self._positive: dict[int, int] = {}
        self._negative: dict[int, int] = {}
        self._zeros = 0

    @classmethod
    def of(cls, positive: dict[int, int], negative: dict[int, int], zeros: int) -> Sketch:
        """A sketch of these buckets."""
        sketch = cls()
        sketch._positive, sketch._negative, sketch._zeros = dict(positive), dict(negative), zeros
        return sketch

    def add(self, value: Any) -> bool:
        """Takes a value in; False for NaN and infinities, which do not count."""
        value = float(value)
        if not -inf < value < inf:
            return False
        if value == 0.0:
            self._zeros += 1
            return True
        buckets = self._positive if value > 0.0 else self._negative
        index = ceil(log(abs(value)) * _PER_LOG)
        buckets[index] = buckets.get(index, 0) + 1
        if len(buckets) > MAX_BUCKETS:
            _collapse(buckets)
        return True

    def quantile(self, q: float) -> float:
        """The value at the part q of all values; NaN without values."""
        ordered = [(-_middle(index), count) for index, count in sorted(self._negative.items(), reverse=True)]
        ordered += [(0.0, self._zeros)] * (self._zeros > 0)
        ordered += [(_middle(index), count) for index, count in sorted(self._positive.items())]
        rank = q * (sum(count for _, count in ordered) - 1)
        seen = 0
        for value, count in ordered:
            seen += count
            if seen > rank:
                return value
        return ordered[-1][0] if ordered else nan

    def parts(self) -> tuple[list[int], list[int], list[int], list[int], int]:
        """Positive buckets and their counts, negative buckets and theirs, how many zeros."""
        positive, negative = dict(self._positive), dict(self._negative)
        return list(positive), list(positive.values()), list(negative), list(negative.values()), self._zeros


def _middle(index: int) -> float:
    """The value that is within 1 % of all in the bucket."""
    try:
        return 2.0 * GAMMA**index / (GAMMA + 1.0)
    except OverflowError:
        return inf


def _collapse(buckets: dict[int, int]) -> None:
    """The two smallest buckets become one."""
    first, second = sorted(buckets)[:2]
    buckets[second] += buckets.pop(first)
