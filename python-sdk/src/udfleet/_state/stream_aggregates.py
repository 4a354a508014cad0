"""Built-in aggregates of streams: rows come, and where the input is a table of changes, they are taken back."""

from __future__ import annotations

import decimal

from ..functions import AggregateFunction
from ..types import DataTypes, Field
from ..types.datatype import DataType
from ..views import MapView
from .codec import codec_of
from .group_results import same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .group_spec import AggregateCall, GroupSpec

_DECIMALS = decimal.Context(prec=76)
"""More digits than sums of DECIMAL(38, s) need, whatever the interpreter's own context has: none is rounded off."""


class Count(AggregateFunction):
    """Rows whose argument is not null; all rows where there is no argument."""

    def create_accumulator(self) -> list[int]:
        """None so far."""
        return [0]

    def accumulate(self, accumulator: list[int], *values: Any) -> None:
        """Counts it."""
        if not values or values[0] is not None:
            accumulator[0] += 1

    def retract(self, accumulator: list[int], *values: Any) -> None:
        """Counts it no more."""
        if not values or values[0] is not None:
            accumulator[0] -= 1

    def get_value(self, accumulator: list[int]) -> int:
        """The count."""
        return accumulator[0]


class Sum(AggregateFunction):
    """Of values that are not null; null where there is none."""

    def create_accumulator(self) -> list[Any]:
        """The sum, and how many values it has."""
        return [0, 0]

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Adds it."""
        if value is not None:
            accumulator[0] = _sum(accumulator[0], value)
            accumulator[1] += 1

    def retract(self, accumulator: list[Any], value: Any) -> None:
        """Subtracts it. Without values the sum is 0 again, whatever was rounded, and whatever was infinite."""
        if value is not None:
            accumulator[1] -= 1
            accumulator[0] = _difference(accumulator[0], value) if accumulator[1] else 0

    def get_value(self, accumulator: list[Any]) -> Any:
        """The sum."""
        return accumulator[0] if accumulator[1] else None


class Sum0(Sum):
    """As `Sum`; 0 where there is no value."""

    def get_value(self, accumulator: list[Any]) -> Any:
        """The sum."""
        return accumulator[0]


class Average(Sum):
    """Of values that are not null."""

    def __init__(self, result_type: DataType) -> None:
        self._is_integer = result_type.root in ("TINYINT", "SMALLINT", "INT", "BIGINT")
        self._scale = result_type.scale if result_type.root == "DECIMAL" else None

    def get_value(self, accumulator: list[Any]) -> Any:
        """The average: of whole numbers without a fraction where the result's type has none."""
        total, count = accumulator
        if not count:
            return None
        if self._is_integer:
            return abs(total) // count * (1 if total >= 0 else -1)
        if self._scale is None:
            return total / count
        exact = _DECIMALS.divide(total, count)
        return exact.quantize(decimal.Decimal(1).scaleb(-self._scale), decimal.ROUND_HALF_UP, _DECIMALS)


class Extreme(AggregateFunction):
    """The least or the greatest value that is not null. All are kept, with their counts: one may be taken back."""

    def __init__(self, best: Callable[[Any, Any], Any]) -> None:
        self._best = best

    def create_accumulator(self) -> list[Any]:
        """No value so far."""
        return [None, MapView()]

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Compares it."""
        if value is None:
            return
        counts = accumulator[1]
        counts[value] = (counts.get(value) or 0) + 1
        accumulator[0] = value if accumulator[0] is None else self._best(accumulator[0], value)

    def retract(self, accumulator: list[Any], value: Any) -> None:
        """Counts it no more; without the best, all that are left are compared."""
        if value is None:
            return
        counts = accumulator[1]
        count = counts.get(value) or 0
        if count > 1:
            counts[value] = count - 1
            return
        counts.remove(value)
        if same(value, accumulator[0]):
            accumulator[0] = None
            for other in counts:
                accumulator[0] = other if accumulator[0] is None else self._best(accumulator[0], other)

    def get_value(self, accumulator: list[Any]) -> Any:
        """The value."""
        return accumulator[0]


class GrowingExtreme(Extreme):
    """As `Extreme`, where nothing is taken back."""

    def create_accumulator(self) -> list[Any]:
        """No value so far."""
        return [None]

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Compares it."""
        if value is not None:
            accumulator[0] = value if accumulator[0] is None else self._best(accumulator[0], value)


class InOrder(AggregateFunction):
    """All values, by the order in which they came: a base class."""

    keeps_nulls = False

    def create_accumulator(self) -> list[Any]:
        """The number of the next one, and them all."""
        return [0, MapView()]

    def accumulate(self, accumulator: list[Any], *values: Any) -> None:
        """Keeps it."""
        if values[0] is not None or self.keeps_nulls:
            accumulator[1].put(accumulator[0].to_bytes(8, "big"), values[0])
            accumulator[0] += 1
            self.separate(accumulator, values)

    def separate(self, accumulator: list[Any], values: tuple[Any, ...]) -> None:
        """Sees the other arguments."""

    def retract(self, accumulator: list[Any], *values: Any) -> None:
        """The first of that value goes."""
        if values[0] is None and not self.keeps_nulls:
            return
        found = next((place for place, value in accumulator[1].items() if same(value, values[0])), None)
        if found is not None:
            accumulator[1].remove(found)

    @staticmethod
    def in_order(accumulator: list[Any]) -> list[Any]:
        """The values."""
        return [value for _, value in sorted(accumulator[1].items())]


class FirstValue(InOrder):
    """The first value that is not null."""

    def get_value(self, accumulator: list[Any]) -> Any:
        """The value."""
        return next(iter(self.in_order(accumulator)), None)


class LastValue(InOrder):
    """The last value that is not null."""

    def get_value(self, accumulator: list[Any]) -> Any:
        """The value."""
        return next(reversed(self.in_order(accumulator)), None)


class GrowingFirst(AggregateFunction):
    """As `FirstValue`, where nothing is taken back."""

    def create_accumulator(self) -> list[Any]:
        """Empty."""
        return [None]

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Keeps it where none came before."""
        if accumulator[0] is None:
            accumulator[0] = value

    def get_value(self, accumulator: list[Any]) -> Any:
        """The value."""
        return accumulator[0]


class GrowingLast(GrowingFirst):
    """As `LastValue`, where nothing is taken back."""

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Keeps it."""
        if value is not None:
            accumulator[0] = value


class ListAgg(InOrder):
    """Texts that are not null, with a separator between them."""

    def create_accumulator(self) -> list[Any]:
        """As its base, and the separator."""
        return [0, MapView(), ","]

    def separate(self, accumulator: list[Any], values: tuple[Any, ...]) -> None:
        """The separator is the one that came last."""
        if len(values) > 1:
            accumulator[2] = values[1] or ""

    def get_value(self, accumulator: list[Any]) -> str | None:
        """The text; null where there were no values."""
        values = self.in_order(accumulator)
        return accumulator[2].join(values) if values else None


class ArrayAgg(InOrder):
    """All values, nulls too."""

    keeps_nulls = True

    def get_value(self, accumulator: list[Any]) -> list[Any] | None:
        """The values; null where there were none."""
        return self.in_order(accumulator) or None


class Collect(AggregateFunction):
    """How often each value came that is not null."""

    def create_accumulator(self) -> list[Any]:
        """Counts by value."""
        return [MapView()]

    def accumulate(self, accumulator: list[Any], value: Any) -> None:
        """Counts it."""
        if value is not None:
            accumulator[0][value] = (accumulator[0].get(value) or 0) + 1

    def retract(self, accumulator: list[Any], value: Any) -> None:
        """Counts it no more."""
        if value is None:
            return
        count = accumulator[0].get(value) or 0
        if count > 1:
            accumulator[0][value] = count - 1
        else:
            accumulator[0].remove(value)

    def get_value(self, accumulator: list[Any]) -> dict[Any, int]:
        """The counts."""
        return dict(accumulator[0].items())


def _values_in_order(call: AggregateCall, *more: Field) -> DataType:
    entries = DataTypes.MAP(DataTypes.BYTES(), call.types[0])
    return DataTypes.ROW([Field("next", DataTypes.BIGINT()), Field("values", entries), *more])


def _sum(total: Any, value: Any) -> Any:
    return _DECIMALS.add(total, value) if isinstance(value, decimal.Decimal) else total + value


def _difference(total: Any, value: Any) -> Any:
    return _DECIMALS.subtract(total, value) if isinstance(value, decimal.Decimal) else total - value


def _least(kept: Any, value: Any) -> Any:
    """NaN is greater than all other numbers."""
    return value if kept != kept or value < kept else kept


def _greatest(kept: Any, value: Any) -> Any:
    return value if value != value or value > kept else kept


def _best(call: AggregateCall) -> Callable[[Any, Any], Any]:
    return _least if call.name == "min" else _greatest


def _counts(call: AggregateCall) -> DataType:
    return DataTypes.MAP(call.types[0], DataTypes.BIGINT())


def _extreme(call: AggregateCall, retracts: bool) -> tuple[AggregateFunction, DataType | None]:
    if not retracts:
        return GrowingExtreme(_best(call)), None
    return Extreme(_best(call)), DataTypes.ROW([Field("best", call.types[0]), Field("counts", _counts(call))])


def _in_order(
    kept: type[InOrder], growing: type[GrowingFirst] | None
) -> Callable[[AggregateCall, bool], tuple[AggregateFunction, DataType | None]]:
    def make(call: AggregateCall, retracts: bool) -> tuple[AggregateFunction, DataType | None]:
        if growing is not None and not retracts:
            return growing(), None
        more = [Field("separator", DataTypes.STRING())] if kept is ListAgg else []
        return kept(), _values_in_order(call, *more)

    return make


_MAKERS: dict[str, Callable[[AggregateCall, bool], tuple[AggregateFunction, DataType | None]]] = {
    "count": lambda call, _: (Count(), None),
    "sum": lambda call, _: (Sum(), None),
    "sum0": lambda call, _: (Sum0(), None),
    "avg": lambda call, _: (Average(call.result_type), None),
    "min": _extreme,
    "max": _extreme,
    "first_value": _in_order(FirstValue, GrowingFirst),
    "last_value": _in_order(LastValue, GrowingLast),
    "listagg": _in_order(ListAgg, None),
    "list_agg": _in_order(ListAgg, None),
    "string_agg": _in_order(ListAgg, None),
    "array_agg": _in_order(ArrayAgg, None),
    "collect": lambda call, _: (Collect(), DataTypes.ROW([Field("counts", _counts(call))])),
}
NAMES = frozenset(_MAKERS)
"""The names, in lower case."""


def functions_of(spec: GroupSpec, parts: Sequence[Any]) -> list[Any]:
    """The functions of a spec's calls: those that registered functions brought, and built-in ones."""
    return [parts[call.part] if call.part is not None else _builtin(call, spec) for call in spec.calls]


def _builtin(call: AggregateCall, spec: GroupSpec) -> AggregateFunction:
    function, call.accumulator_type = _MAKERS[call.name](call, spec.row_kind is not None)
    return function


def check_types(call: AggregateCall, retracts: bool) -> None:
    """Whether state can have what a call keeps in it entry by entry.

    :raises TypeError: it can't, and of which type.
    """
    if call.distinct:
        for given in call.types:
            codec_of(given)
    if call.part is None:
        _, accumulator = _MAKERS[call.name](call, retracts)
        for field in accumulator.fields if accumulator is not None else ():
            codec_of(field.data_type)
