"""Null in, null out."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which is not called where an argument is null: the result is null then."""

    @functools.wraps(function)
    def called(*arguments: Any) -> Any:
        return None if None in arguments else function(*arguments)

    return called
