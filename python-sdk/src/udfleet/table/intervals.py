"""Spans of time: `lit(5).minutes`, `INTERVAL '5' MINUTE`."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal

from ..errors import InvalidPlanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, cast

    from .expression import Expression
else:

    def cast(_: object, value: Any) -> Any:
        """Stands in for typing.cast: importing typing costs milliseconds."""
        return value


_SECONDS = {"DAY": 86_400, "HOUR": 3_600, "MINUTE": 60, "SECOND": 1}
_MONTHS = {"YEAR": 12, "MONTH": 1}
_NUMBER = {
    "YEAR": r"\d+",
    "MONTH": r"\d+",
    "DAY": r"\d+",
    "HOUR": r"\d+",
    "MINUTE": r"\d+",
    "SECOND": r"\d+(?:\.\d{1,6})?",
}
_ORDER = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"]
_BELOW = {"MONTH": 12, "HOUR": 24, "MINUTE": 60, "SECOND": 60}
"""What units behind the first one are less than."""
_BEHIND = {"YEAR": "-", "DAY": " ", "HOUR": ":", "MINUTE": ":"}


class IntervalMethods:
    """What every expression can be asked for; `udfleet.table.expression.Expression` has them.

    Years, quarters and months are of numbers that are written there; shorter spans of integer columns too.
    """

    __slots__ = ()

    def _time(self, **unit: int) -> Expression:
        from .expression import Literal, expression, lit

        value = cast("Expression", self)
        if isinstance(value, Literal) and isinstance(value.value, int):
            try:
                return lit(datetime.timedelta(**unit) * value.value)
            except OverflowError:
                raise InvalidPlanError(f"no INTERVAL is as long as {value.value} {next(iter(unit))}") from None
        return expression(datetime.timedelta(**unit)) * value

    def _months(self, months: int) -> Expression:
        from .expression import Literal, lit

        value = cast("Expression", self)
        if not isinstance(value, Literal) or not isinstance(value.value, int):
            raise TypeError(f"years, quarters and months are of a number, as in lit(3).months, not of {value}")
        return lit(months * value.value, "INTERVAL YEAR TO MONTH")

    @property
    def years(self) -> Expression:
        """So many years."""
        return self._months(12)

    @property
    def quarters(self) -> Expression:
        """So many times three months."""
        return self._months(3)

    @property
    def months(self) -> Expression:
        """So many months."""
        return self._months(1)

    @property
    def weeks(self) -> Expression:
        """So many times seven days."""
        return self._time(weeks=1)

    @property
    def days(self) -> Expression:
        """So many days."""
        return self._time(days=1)

    @property
    def hours(self) -> Expression:
        """So many hours."""
        return self._time(hours=1)

    @property
    def minutes(self) -> Expression:
        """So many minutes."""
        return self._time(minutes=1)

    @property
    def seconds(self) -> Expression:
        """So many seconds."""
        return self._time(seconds=1)

    @property
    def millis(self) -> Expression:
        """So many milliseconds."""
        return self._time(milliseconds=1)

    year, quarter, month, week, day = years, quarters, months, weeks, days
    hour, minute, second, milli = hours, minutes, seconds, millis


def parse_interval(text: str, upper: str, lower: str = "") -> Expression:
    """What `INTERVAL 'text' upper TO lower` means.

    :raises ValueError: the text does not read like that, or the units do not go together.
    """
    from .expression import lit

    first = _ORDER.index(upper)
    last = _ORDER.index(lower or upper)
    units = _ORDER[first : last + 1]
    months = upper in _MONTHS
    if not units or months != (units[-1] in _MONTHS):
        raise ValueError(f"INTERVAL has no {upper} TO {lower}")
    pattern = "".join(f"({_NUMBER[unit]}){_BEHIND[unit] if unit != units[-1] else ''}" for unit in units)
    match = re.fullmatch(rf"\s*([+-]?){pattern}\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is no INTERVAL {' TO '.join(dict.fromkeys([units[0], units[-1]]))}")
    for unit, number in zip(units[1:], match.groups()[2:], strict=True):
        if Decimal(number) >= _BELOW[unit]:
            raise ValueError(f"{text!r} is no INTERVAL: a {unit} behind another unit is below {_BELOW[unit]}")
    sign = -1 if match[1] == "-" else 1
    numbers = dict(zip(units, match.groups()[1:], strict=True))
    if months:
        return lit(sign * sum(int(number) * _MONTHS[unit] for unit, number in numbers.items()), _YEAR_MONTH)
    seconds = sum(Decimal(number) * _SECONDS[unit] for unit, number in numbers.items())
    try:
        return lit(sign * datetime.timedelta(microseconds=int(seconds * 1_000_000)))
    except OverflowError:
        raise ValueError(f"no INTERVAL is as long as {text!r} {upper}") from None


_YEAR_MONTH = "INTERVAL YEAR TO MONTH"


def interval_text(value: Any) -> str:
    """The text of a literal, as `parse_interval` reads it: a timedelta, or a number of months."""
    if isinstance(value, int):
        return f"INTERVAL '{value}' MONTH"
    sign, size = ("-", -value) if value < datetime.timedelta() else ("", value)
    minutes, seconds = divmod(size.seconds, 60)
    fraction = f".{size.microseconds:06}" if size.microseconds else ""
    clock = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{fraction}"
    return f"INTERVAL '{sign}{size.days} {clock}' DAY TO SECOND"
