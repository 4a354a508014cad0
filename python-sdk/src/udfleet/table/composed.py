"""Methods of expressions that are made of other built-in functions, under PyFlink's names."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, cast

    from .expression import Call, Expression
else:

    def cast(_: object, value: Any) -> Any:
        """Stands in for typing.cast: importing typing costs milliseconds."""
        return value


class ComposedMethods:
    """What every expression can be asked for; `udfleet.table.expression.Expression` has them."""

    __slots__ = ()

    @property
    def _self(self) -> Expression:
        return cast("Expression", self)

    @property
    def sum0(self) -> Call:
        """The sum; 0 for a group without values."""
        return self._self._aggregate("sum0")

    @property
    def first_value(self) -> Call:
        """The first value of the group that is not null."""
        return self._self._aggregate("first_value")

    @property
    def last_value(self) -> Call:
        """The last value of the group that is not null."""
        return self._self._aggregate("last_value")

    def list_agg(self, separator: Any = None) -> Call:
        """The group's texts that are not null, with a separator between them: a comma unless given."""
        call = self._self._aggregate("listagg")
        return call if separator is None else call._with(separator)

    @property
    def array_agg(self) -> Call:
        """The group's values as an ARRAY, nulls too."""
        return self._self._aggregate("array_agg")

    @property
    def collect(self) -> Call:
        """The group's values that are not null, and how often each came: a MULTISET."""
        return self._self._aggregate("collect")

    def percentile(self, percentage: Any, frequency: Any = None) -> Call:
        """The value below which that part of the group's values lies, or an ARRAY of them; null without values.

        :param percentage: from 0 to 1, or an ARRAY of such.
        :param frequency: how often each value counts.
        """
        call = self._self._aggregate("percentile")._with(percentage)
        return call if frequency is None else call._with(frequency)

    def substr(self, begin_index: Any, length: Any = None) -> Expression:
        """As `substring`."""
        return self._self.substring(begin_index, length)

    def btrim(self, characters: Any = None) -> Expression:
        """As `trim`."""
        return self._self.trim(characters)

    def mod(self, divisor: Any) -> Expression:
        """What is left of a division."""
        return self._self._operation("MODULO", divisor)

    def trim_leading(self, characters: Any = " ") -> Expression:
        """Without those characters at the start."""
        return self._self._operation("LTRIM", characters)

    def trim_trailing(self, characters: Any = " ") -> Expression:
        """Without those characters at the end."""
        return self._self._operation("RTRIM", characters)

    def left(self, length: Any) -> Expression:
        """The first characters; none where the length is negative."""
        return _repeating("LEFT", self._self.substring(1, _at_least(0, length)), length)

    def right(self, length: Any) -> Expression:
        """The last characters; none where the length is negative."""
        kept = _at_least(0, length)
        made = self._self.substring(_at_least(1, self._self.char_length - kept + 1), kept)
        return _repeating("RIGHT", made, self._self, length)

    def instr(self, text: Any) -> Expression:
        """Where the other text first is in this one: from 1, 0 where it is not."""
        return _expression(text).position(self)

    def locate(self, text: Any, start: Any = None) -> Expression:
        """Where this text first is in the other, from a position on: from 1, 0 where it is not."""
        if start is None:
            return self._self.position(text)
        found = self._self.position(_expression(text).substring(start))
        return _repeating("LOCATE", _choice(found == 0, found, found + start - 1), self._self, text, start)

    def overlay(self, new: Any, start: Any, length: Any = None) -> Expression:
        """With another text in place of so many characters from a position on, which counts from 1."""
        text, new, start = self._self, _expression(new), _expression(start)
        length = new.char_length if length is None else length
        replaced = text.substring(1, start - 1)._operation("CONCAT", new, text.substring(start + length))
        made = _choice((start < 1) | (start > text.char_length), text, replaced)
        return _repeating("OVERLAY", made, text, new, start, length)

    @property
    def log2(self) -> Expression:
        """The logarithm to base 2."""
        return self.log(2)

    def log(self, base: Any = None) -> Expression:
        """The logarithm to a base, or the natural one."""
        return self._self.ln if base is None else self._self.ln / _expression(base).ln

    @property
    def cot(self) -> Expression:
        """The cotangent."""
        return _expression(1.0) / self._self.tan

    @property
    def degrees(self) -> Expression:
        """Radians in degrees."""
        return self._self * (180 / math.pi)

    @property
    def radians(self) -> Expression:
        """Degrees in radians."""
        return self._self * (math.pi / 180)

    @property
    def to_date(self) -> Expression:
        """A text, `2020-01-31`, as DATE."""
        return self._self.cast("DATE")

    @property
    def to_time(self) -> Expression:
        """A text, `12:30:00`, as TIME(0)."""
        return self._self.cast("TIME(0)")

    @property
    def to_timestamp(self) -> Expression:
        """A text, `2020-01-31 12:30:00`, as TIMESTAMP(3)."""
        return self._self.cast("TIMESTAMP(3)")


def _choice(condition: Any, if_true: Any, if_false: Any) -> Expression:
    from . import expression

    return expression.if_then_else(condition, if_true, if_false)


def _repeating(name: str, made: Expression, *arguments: Any) -> Expression:
    from . import expression

    return expression.repeating(name, made, *arguments)


def _expression(value: Any) -> Expression:
    from .expression import expression

    return expression(value)


def _at_least(least: int, value: Any) -> Expression:
    """The value, or the bound where it is less; null stays null."""
    value = _expression(value)
    return _choice(value < least, least, value)
