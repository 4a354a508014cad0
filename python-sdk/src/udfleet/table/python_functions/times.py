"""Times as texts of Java's patterns (`yyyy-MM-dd HH:mm:ss.SSS`), cut to units, in other zones: UTC unless named."""

from __future__ import annotations

import calendar
import datetime
import functools
import re

from .nulls import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SECONDS = "yyyy-MM-dd HH:mm:ss"
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")
_EPOCH = datetime.datetime(1970, 1, 1)
_UTC = datetime.timezone.utc
_READ = {
    "y": "year",
    "M": "month",
    "d": "day",
    "H": "hour",
    "h": "hour12",
    "m": "minute",
    "s": "second",
    "S": "fraction",
}
_WRITTEN_ONLY = "DEa"


@functools.lru_cache(maxsize=256)
def _tokens(pattern: str) -> list[tuple[str, str]]:
    """Letters as they are repeated, with the letter; plain text with no letter."""
    tokens, at = [], 0
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        letter = match[2] if match else None
        if match is None or (letter and letter not in _READ and letter not in _WRITTEN_ONLY):
            raise ValueError(f"{pattern!r} is no pattern of a time: it has {pattern[at : at + 10]!r}")
        quoted = match[1]
        plain = match[0] if quoted is None else quoted.replace("''", "'") or "'"
        tokens.append((match[0] if letter else plain, letter or ""))
        at = match.end()
    return tokens


@strict
def date_format(value: Any, pattern: str) -> str:
    """A date or time as text."""
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    return "".join(_formatted(value, text, letter) for text, letter in _tokens(pattern))


def _formatted(value: datetime.datetime, text: str, letter: str) -> str:
    size = len(text)
    if not letter:
        return text
    if letter == "y":
        return f"{value.year % 100:02}" if size == 2 else f"{value.year:0{size}}"
    if letter == "M" and size > 2:
        return calendar.month_abbr[value.month] if size == 3 else calendar.month_name[value.month]
    if letter == "E":
        return (calendar.day_abbr if size < 4 else calendar.day_name)[value.weekday()]
    if letter == "a":
        return "AM" if value.hour < 12 else "PM"
    if letter == "S":
        return f"{value.microsecond:06}".ljust(size, "0")[:size]
    number = {
        "M": value.month, "d": value.day, "H": value.hour, "h": value.hour % 12 or 12, "m": value.minute,
        "s": value.second, "D": value.timetuple().tm_yday,
    }[letter]  # fmt: skip
    return f"{number:0{size}}"


def _parsed(text: str, pattern: str) -> datetime.datetime:
    shape, letters = "", []
    tokens = _tokens(pattern)
    for position, (token, letter) in enumerate(tokens):
        if not letter:
            shape += re.escape(token)
            continue
        if letter not in _READ or (letter == "M" and len(token) > 2):
            raise ValueError(f"{pattern!r} can't be read: {token} is for writing only")
        beside = position + 1 < len(tokens) and tokens[position + 1][1]
        shape += f"(\\d{{{len(token)}}})" if beside or (letter, len(token)) == ("y", 2) else r"(\d+)"
        letters.append(letter)
    match = re.fullmatch(shape, text)
    if match is None:
        raise ValueError(f"{text!r} does not read like {pattern!r}")
    parts = dict(zip((_READ[letter] for letter in letters), match.groups()))
    fraction = parts.pop("fraction", "0")
    numbers = {name: int(number) for name, number in parts.items()}
    if ("yy", "y") in tokens:
        numbers["year"] += 2000
    hour = numbers.get("hour", numbers.get("hour12", 0) % 12)
    day = datetime.datetime(numbers.get("year", 1970), numbers.get("month", 1), numbers.get("day", 1))
    return day.replace(
        hour=hour,
        minute=numbers.get("minute", 0),
        second=numbers.get("second", 0),
        microsecond=int(fraction.ljust(6, "0")[:6]),
    )


@strict
def to_date(text: str, pattern: str) -> datetime.date:
    """The day that a text of the pattern names."""
    return _parsed(text, pattern).date()


@strict
def to_timestamp(text: str, pattern: str) -> datetime.datetime:
    """The time that a text of the pattern names, in milliseconds."""
    value = _parsed(text, pattern)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


@strict
def to_timestamp_ltz(value: Any, form: Any = None, zone: str = "UTC") -> datetime.datetime:
    """A point in time: milliseconds (or seconds, where `form` is 0) since 1970, or a text of a pattern in a zone."""
    if isinstance(value, str):
        # A text of no pattern has a fraction of a second, or none.
        pattern = form or (_SECONDS + (".SSS" if "." in value else ""))
        moment: datetime.datetime = to_timestamp(value, pattern)
        return moment.replace(tzinfo=_zone(zone)).astimezone(_UTC)
    if form not in (None, 0, 3):
        raise ValueError(f"numbers are seconds (0) or milliseconds (3), not {form}")
    return (_EPOCH + datetime.timedelta(milliseconds=value * (1000 if form == 0 else 1))).replace(tzinfo=_UTC)


@strict
def from_unixtime(seconds: int, pattern: str = _SECONDS) -> str:
    """Seconds since 1970 as text."""
    return str(date_format(_EPOCH + datetime.timedelta(seconds=seconds), pattern))


@strict
def unix_timestamp(text: str, pattern: str = _SECONDS) -> int:
    """Seconds since 1970 of a text."""
    return (_parsed(text, pattern) - _EPOCH) // datetime.timedelta(seconds=1)


def _zone(name: str) -> datetime.tzinfo:
    shift = re.fullmatch(r"(?:GMT|UTC)?([+-])(\d\d?):?(\d\d)?", name)
    if shift:
        minutes = int(shift[2]) * 60 + int(shift[3] or 0)
        return datetime.timezone(datetime.timedelta(minutes=-minutes if shift[1] == "-" else minutes))
    if name in ("UTC", "GMT"):
        return _UTC
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"no time zone {name!r} is known here") from None


@strict
def convert_tz(text: str, source: str, target: str) -> str:
    """A time of one zone, as text, in another."""
    moment = _parsed(text, _SECONDS).replace(tzinfo=_zone(source))
    return str(date_format(moment.astimezone(_zone(target)), _SECONDS))


_UNITS = {
    "WEEK": 604_800_000_000, "DAY": 86_400_000_000, "HOUR": 3_600_000_000, "MINUTE": 60_000_000, "SECOND": 1_000_000,
    "MILLISECOND": 1_000, "MICROSECOND": 1,
}  # fmt: skip
_MONTHS = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}


def _unit(name: str) -> str:
    unit = name.upper()
    unit = unit[:-1] if unit.endswith("S") else unit
    if unit not in _UNITS and unit not in _MONTHS:
        raise ValueError(f"there is no unit {name!r}: {', '.join([*_MONTHS, *_UNITS])} there are")
    return unit


def _moment(value: Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    return datetime.datetime.combine(value, datetime.time())


@strict
def timestamp_diff(unit: str, start: Any, end: Any) -> int:
    """How many whole units lie between two times; negative where the second is the earlier one."""
    unit, first, last = _unit(unit), _moment(start), _moment(end)
    if first > last:
        return -int(timestamp_diff(unit, last, first))
    if unit in _UNITS:
        return (last - first) // datetime.timedelta(microseconds=_UNITS[unit])
    months = (last.year - first.year) * 12 + last.month - first.month
    day = min(first.day, calendar.monthrange(last.year, last.month)[1])
    if (last.day, last.time()) < (day, first.time()):
        months -= 1
    return months // _MONTHS[unit]


@strict
def floor_to(value: Any, unit: str) -> Any:
    """A time cut to a unit."""
    unit = _unit(unit)
    if isinstance(value, datetime.time):
        size = _UNITS.get(unit, _UNITS["WEEK"])
        return (_EPOCH + (datetime.datetime.combine(_EPOCH, value) - _EPOCH) // _span(size) * _span(size)).time()
    moment = _moment(value)
    if unit in _MONTHS:
        month = (moment.month - 1) // _MONTHS[unit] * _MONTHS[unit] + 1
        return _as(datetime.datetime(moment.year, month, 1), value)
    if unit == "WEEK":
        # Weeks begin on Sundays, as Flink has it.
        day = datetime.datetime.combine(moment, datetime.time())
        return _as(day - datetime.timedelta(days=(moment.weekday() + 1) % 7), value)
    return _as(_EPOCH + (moment - _EPOCH) // _span(_UNITS[unit]) * _span(_UNITS[unit]), value)


@strict
def ceil_to(value: Any, unit: str) -> Any:
    """The time itself where it is whole in the unit, or the next that is."""
    floor = floor_to(value, unit)
    if floor == value:
        return value
    unit = _unit(unit)
    if isinstance(value, datetime.time):
        return (datetime.datetime.combine(_EPOCH, floor) + _span(_UNITS.get(unit, 0))).time()
    if unit in _UNITS:
        return floor + _span(_UNITS[unit])
    months = floor.year * 12 + floor.month - 1 + _MONTHS[unit]
    return floor.replace(year=months // 12, month=months % 12 + 1)


def _span(microseconds: int) -> datetime.timedelta:
    return datetime.timedelta(microseconds=microseconds)


def _as(moment: datetime.datetime, like: Any) -> Any:
    return moment.replace(tzinfo=like.tzinfo) if isinstance(like, datetime.datetime) else moment.date()


def temporal_overlaps(*spans: Any) -> bool | None:
    """Whether two spans of time have a point in common: each is a start, and a length or an end."""
    if None in spans:
        return None
    (first, last), (other, other_last) = _extent(*spans[:2]), _extent(*spans[2:])
    return bool(last >= other and other_last >= first)


def _extent(start: Any, end: Any) -> tuple[Any, Any]:
    start, end = _point(start), _point(end)
    if isinstance(end, int):  # months
        end = _after_months(start, end)
    elif isinstance(end, datetime.timedelta):
        end = start + end
    return min(start, end), max(start, end)


def _point(value: Any) -> Any:
    """A date or time of day as a point in time."""
    if isinstance(value, datetime.time):
        return datetime.datetime.combine(_EPOCH.date(), value)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.datetime.combine(value, datetime.time())
    return value


def _after_months(start: datetime.datetime, months: int) -> datetime.datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, calendar.monthrange(year, month + 1)[1]))
