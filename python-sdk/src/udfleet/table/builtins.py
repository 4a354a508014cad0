"""The built-in functions as methods of expressions, under PyFlink's names.

Methods mean the built-in functions themselves, whatever functions are registered; aggregates go by their names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .expression import Call, Expression


class BuiltinMethods:
    """What every expression can be asked for; `udfleet.table.expression.Expression` has them."""

    __slots__ = ()

    def _operation(self, operator: str, *operands: Any, field: str = "") -> Expression:
        """An operation of plan.proto over this expression and others."""
        raise NotImplementedError

    def _aggregate(self, name: str) -> Call:
        """A built-in aggregate of this expression."""
        raise NotImplementedError

    def _to_unit(self, name: str, unit: Any) -> Expression:
        """A time moved to a unit's border."""
        from .expression import BuiltinCall

        return BuiltinCall(name, (self, str(getattr(unit, "name", unit))))

    @property
    def count(self) -> Call:
        """How many values are not null."""
        return self._aggregate("count")

    @property
    def sum(self) -> Call:
        """The sum; null for a group without values."""
        return self._aggregate("sum")

    @property
    def avg(self) -> Call:
        """The mean."""
        return self._aggregate("avg")

    @property
    def min(self) -> Call:
        """The least value."""
        return self._aggregate("min")

    @property
    def max(self) -> Call:
        """The greatest value."""
        return self._aggregate("max")

    @property
    def stddev_pop(self) -> Call:
        """The standard deviation of all values there are."""
        return self._aggregate("stddev_pop")

    @property
    def stddev_samp(self) -> Call:
        """The standard deviation that a sample tells of."""
        return self._aggregate("stddev_samp")

    @property
    def var_pop(self) -> Call:
        """The variance of all values there are."""
        return self._aggregate("var_pop")

    @property
    def var_samp(self) -> Call:
        """The variance that a sample tells of."""
        return self._aggregate("var_samp")

    @property
    def upper_case(self) -> Expression:
        """The text in upper case."""
        return self._operation("UPPER")

    @property
    def lower_case(self) -> Expression:
        """The text in lower case."""
        return self._operation("LOWER")

    @property
    def char_length(self) -> Expression:
        """The number of characters."""
        return self._operation("CHAR_LENGTH")

    @property
    def reverse(self) -> Expression:
        """The text backwards."""
        return self._operation("REVERSE")

    def ltrim(self, characters: Any = None) -> Expression:
        """Without spaces, or those characters, at the start."""
        return self._operation("LTRIM") if characters is None else self._operation("LTRIM", characters)

    def rtrim(self, characters: Any = None) -> Expression:
        """Without spaces, or those characters, at the end."""
        return self._operation("RTRIM") if characters is None else self._operation("RTRIM", characters)

    def trim(self, characters: Any = None) -> Expression:
        """Without spaces, or those characters, at both ends."""
        return self._operation("TRIM") if characters is None else self._operation("TRIM", characters)

    def substring(self, begin_index: Any, length: Any = None) -> Expression:
        """A part, from a position that counts from 1, of that length or to the end."""
        rest = () if length is None else (length,)
        return self._operation("SUBSTRING", begin_index, *rest)

    def replace(self, search: Any, replacement: Any) -> Expression:
        """With each occurrence of a text replaced."""
        return self._operation("REPLACE", search, replacement)

    def repeat(self, n: Any) -> Expression:
        """The text n times."""
        return self._operation("REPEAT", n)

    def lpad(self, length: Any, pad: Any) -> Expression:
        """Filled at the left, or cut, to that length."""
        return self._operation("LPAD", length, pad)

    def rpad(self, length: Any, pad: Any) -> Expression:
        """Filled at the right, or cut, to that length."""
        return self._operation("RPAD", length, pad)

    def position(self, haystack: Any) -> Expression:
        """Where this text first is in the other: from 1, 0 where it is not."""
        return self._operation("POSITION", haystack)

    def starts_with(self, text: Any) -> Expression:
        """Whether it begins with that."""
        return self._operation("STARTS_WITH", text)

    def ends_with(self, text: Any) -> Expression:
        """Whether it ends with that."""
        return self._operation("ENDS_WITH", text)

    @property
    def abs(self) -> Expression:
        """Without its sign."""
        return self._operation("ABS")

    def ceil(self, unit: Any = None) -> Expression:
        """The next whole number up; of a time the next whole unit, "YEAR" to "SECOND"."""
        return self._operation("CEIL") if unit is None else self._to_unit("ceil_to", unit)

    def floor(self, unit: Any = None) -> Expression:
        """The next whole number down; of a time the start of its unit, "YEAR" to "SECOND"."""
        return self._operation("FLOOR") if unit is None else self._to_unit("floor_to", unit)

    def concat(self, *others: Any) -> Expression:
        """Texts behind one another."""
        return self._operation("CONCAT", *others)

    def round(self, places: Any) -> Expression:
        """Rounded to that many decimal places."""
        return self._operation("ROUND", places)

    @property
    def sign(self) -> Expression:
        """-1, 0 or 1."""
        return self._operation("SIGN")

    @property
    def sqrt(self) -> Expression:
        """The square root."""
        return self._operation("SQRT")

    def power(self, exponent: Any) -> Expression:
        """To that power."""
        return self._operation("POWER", exponent)

    @property
    def exp(self) -> Expression:
        """Euler's number to that power."""
        return self._operation("EXP")

    @property
    def ln(self) -> Expression:
        """The natural logarithm."""
        return self._operation("LN")

    @property
    def log10(self) -> Expression:
        """The logarithm to base 10."""
        return self._operation("LOG10")

    @property
    def sin(self) -> Expression:
        """The sine."""
        return self._operation("SIN")

    @property
    def cos(self) -> Expression:
        """The cosine."""
        return self._operation("COS")

    @property
    def tan(self) -> Expression:
        """The tangent."""
        return self._operation("TAN")

    @property
    def asin(self) -> Expression:
        """The arc sine."""
        return self._operation("ASIN")

    @property
    def acos(self) -> Expression:
        """The arc cosine."""
        return self._operation("ACOS")

    @property
    def atan(self) -> Expression:
        """The arc tangent."""
        return self._operation("ATAN")

    @property
    def sinh(self) -> Expression:
        """The hyperbolic sine."""
        return self._operation("SINH")

    @property
    def cosh(self) -> Expression:
        """The hyperbolic cosine."""
        return self._operation("COSH")

    @property
    def tanh(self) -> Expression:
        """The hyperbolic tangent."""
        return self._operation("TANH")

    def extract(self, part: Any) -> Expression:
        """A part of a time: "YEAR" to "SECOND", or PyFlink's TimeIntervalUnit."""
        return self._operation("EXTRACT", field=str(getattr(part, "name", part)).upper())
