"""Functions that make expressions, under the names of PyFlink's module of this name."""

from __future__ import annotations

import enum
import math

from .column_lists import range_, with_all_columns, with_columns, without_columns
from .expression import BuiltinCall, Call, Expression, Operation, call, col, expression, if_then_else, lit, repeating

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..types.coerce import TypeLike

__all__ = [
    "JsonOnNull",
    "and_",
    "array",
    "atan2",
    "call",
    "coalesce",
    "col",
    "concat",
    "concat_ws",
    "convert_tz",
    "current_date",
    "current_time",
    "current_timestamp",
    "date_format",
    "e",
    "from_unixtime",
    "greatest",
    "if_then_else",
    "json",
    "json_array",
    "json_object",
    "json_string",
    "least",
    "lit",
    "local_time",
    "local_timestamp",
    "log",
    "map_",
    "map_from_arrays",
    "negative",
    "not_",
    "null_of",
    "or_",
    "pi",
    "rand",
    "rand_integer",
    "range_",
    "row",
    "temporal_overlaps",
    "timestamp_diff",
    "to_date",
    "to_timestamp",
    "to_timestamp_ltz",
    "unix_timestamp",
    "uuid",
    "with_all_columns",
    "with_columns",
    "without_columns",
]  # fmt: skip


class JsonOnNull(enum.Enum):
    """What becomes of nulls in `json_object` and `json_array`."""

    NULL = "null"
    ABSENT = "absent"


def json(text: Any) -> Expression:
    """A text that is JSON already, as a value in `json_object` and `json_array`."""
    return BuiltinCall("json", (text,))


def json_string(value: Any) -> Expression:
    """The value as JSON."""
    return BuiltinCall("json_string", (value,))


def json_object(on_null: JsonOnNull = JsonOnNull.NULL, *pairs: Any) -> Expression:
    """A JSON object of keys and values in turn."""
    return BuiltinCall("json_object", (on_null.value, *pairs))


def json_array(on_null: JsonOnNull = JsonOnNull.ABSENT, *values: Any) -> Expression:
    """A JSON array of values."""
    return BuiltinCall("json_array", (on_null.value, *values))


def temporal_overlaps(start: Any, length_or_end: Any, other_start: Any, other_length_or_end: Any) -> Expression:
    """Whether two spans of time have a point in common."""
    return BuiltinCall("temporal_overlaps", (start, length_or_end, other_start, other_length_or_end))


def and_(first: Any, second: Any, *others: Any) -> Expression:
    """Whether all are true."""
    return _chained("AND", first, second, *others)


def or_(first: Any, second: Any, *others: Any) -> Expression:
    """Whether one is true."""
    return _chained("OR", first, second, *others)


def not_(condition: Any) -> Expression:
    """Whether it is false."""
    return Operation("NOT", condition)


def negative(value: Any) -> Expression:
    """The number with the other sign."""
    return Operation("NEGATE", value)


def pi() -> Expression:
    """The ratio of a circle's circumference to its diameter."""
    return lit(math.pi)


def e() -> Expression:
    """Euler's number."""
    return lit(math.e)


def log(value: Any, base: Any = None) -> Expression:
    """The logarithm to a base, or the natural one."""
    return expression(value).log(base)


def concat(first: Any, *others: Any) -> Expression:
    """Texts behind one another."""
    return Operation("CONCAT", first, *others)


def concat_ws(separator: Any, first: Any, *others: Any) -> Expression:
    """Texts behind one another with a separator between them; those that are null are left out."""
    separator, empty = expression(separator), lit("")
    parts = [
        if_then_else(value.is_null, empty, Operation("CONCAT", separator, value))
        for value in map(expression, (first, *others))
    ]
    made = Operation("CONCAT", *parts).substring(separator.char_length + 1)
    return repeating("CONCAT_WS", made, separator, first, *others)


def greatest(first: Any, *others: Any) -> Expression:
    """The greatest of the values; null where any is."""
    return Call("greatest", (first, *others))


def least(first: Any, *others: Any) -> Expression:
    """The least of the values; null where any is."""
    return Call("least", (first, *others))


def atan2(y: Any, x: Any) -> Expression:
    """The angle of the point (x, y)."""
    return Operation("ATAN2", y, x)


def rand() -> Expression:
    """A random number from 0 up to 1, another for each row."""
    return BuiltinCall("rand")


def rand_integer(bound: Any) -> Expression:
    """A random whole number from 0 up to the bound, which it never is, another for each row."""
    return BuiltinCall("rand_integer", (bound,))


def uuid() -> Expression:
    """A random UUID, another for each row."""
    return BuiltinCall("uuid")


def map_from_arrays(keys: Any, values: Any) -> Expression:
    """A MAP of an array of keys and one of their values."""
    return BuiltinCall("map_from_arrays", (keys, values))


def array(first: Any, *others: Any) -> Expression:
    """An ARRAY of values of the first one's type."""
    return BuiltinCall("array", (first, *others))


def row(first: Any, *others: Any) -> Expression:
    """A ROW of values: `f0`, `f1`, ..."""
    return BuiltinCall("row", (first, *others))


def map_(key: Any, value: Any, *others: Any) -> Expression:
    """A MAP of keys and values in turn, of the first ones' types."""
    return BuiltinCall("map", (key, value, *others))


def to_date(text: Any, pattern: Any = None) -> Expression:
    """A text, `2020-01-31` or of one of Java's patterns, as DATE."""
    value = expression(text)
    return value.to_date if pattern is None else BuiltinCall("date_of_text", (value, pattern))


def to_timestamp(text: Any, pattern: Any = None) -> Expression:
    """A text, `2020-01-31 12:30:00` or of one of Java's patterns, as TIMESTAMP(3)."""
    value = expression(text)
    return value.to_timestamp if pattern is None else BuiltinCall("timestamp_of_text", (value, pattern))


def to_timestamp_ltz(value: Any, *form: Any) -> Expression:
    """A point in time: of milliseconds, of seconds with 0 behind them, or of a text, its pattern and its zone."""
    return BuiltinCall("to_timestamp_ltz", (value, *form))


def date_format(time: Any, pattern: Any) -> Expression:
    """A date or time as a text of one of Java's patterns."""
    return BuiltinCall("date_format", (time, pattern))


def timestamp_diff(unit: Any, start: Any, end: Any) -> Expression:
    """How many whole units, "YEAR" to "SECOND", lie between two times."""
    return BuiltinCall("timestamp_diff", (str(getattr(unit, "name", unit)), start, end))


def from_unixtime(seconds: Any, *pattern: Any) -> Expression:
    """Seconds since 1970 as a text, `2020-01-31 12:30:00` or of one of Java's patterns, in UTC."""
    return BuiltinCall("from_unixtime", (seconds, *pattern))


def unix_timestamp(text: Any, *pattern: Any) -> Expression:
    """Seconds since 1970 of a text, `2020-01-31 12:30:00` or of one of Java's patterns, in UTC."""
    return BuiltinCall("unix_timestamp", (text, *pattern))


def convert_tz(text: Any, source: Any, target: Any) -> Expression:
    """A time of one zone, `2020-01-31 12:30:00`, in another, as text."""
    return BuiltinCall("convert_tz", (text, source, target))


def current_date() -> Expression:
    """The day when the plan is made, in UTC."""
    return Call("current_date")


def current_time() -> Expression:
    """The time of day when the plan is made, in UTC."""
    return Call("current_time")


def current_timestamp() -> Expression:
    """The point in time when the plan is made."""
    return Call("current_timestamp")


def local_time() -> Expression:
    """As `current_time`: the fleet's zone is UTC."""
    return Call("current_time")


def local_timestamp() -> Expression:
    """The date and time when the plan is made, in UTC, as TIMESTAMP(3)."""
    return Call("localtimestamp")


def coalesce(*values: Any) -> Expression:
    """The first of the values that is not null."""
    if not values:
        raise TypeError("coalesce() takes one value or more")
    found = expression(values[-1])
    for value in reversed(values[:-1]):
        found = expression(value).if_null(found)
    return found


def null_of(data_type: TypeLike) -> Expression:
    """Null, of a type."""
    return lit(None, data_type)


def _chained(operator: str, first: Any, *others: Any) -> Expression:
    found = expression(first)
    for other in others:
        found = Operation(operator, found, other)
    return found
