"""Functions of numbers, and random numbers."""

from __future__ import annotations

import math
import random
import uuid as uuids
from decimal import ROUND_DOWN, Context, Decimal

from .nulls import strict

_EXACT = Context(prec=400)


@strict
def binary(number: int) -> str:
    """A whole number in binary digits; of negative ones the 64 bits of their two's complement."""
    return f"{number & ((1 << 64) - 1):b}"


def rand() -> float:
    """A number from 0 up to 1, another for each row."""
    return random.random()  # noqa: S311 - no secret


@strict
def rand_integer(bound: int) -> int:
    """A whole number from 0 up to the bound, which it never is; another for each row."""
    return random.randrange(bound)  # noqa: S311 - no secret


def uuid() -> str:
    """A random UUID (RFC 4122, version 4), another for each row."""
    return str(uuids.uuid4())


@strict
def truncate(number: int | float | Decimal, places: int = 0) -> int | float | Decimal:
    """Without the decimal places behind those; negative ones are before the point."""
    if isinstance(number, float) and not math.isfinite(number):
        return number
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    if -exact.as_tuple().exponent <= places:  # type: ignore[operator]
        return number
    cut = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN, context=_EXACT)
    return cut if isinstance(number, Decimal) else type(number)(cut)


def repeated(count: int | None) -> range:
    """A row for each number from 0 below the count."""
    return range(max(0, count or 0))
