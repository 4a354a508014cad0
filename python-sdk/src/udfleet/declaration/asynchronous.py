"""Whether a function is a coroutine function. Runs on a bare Python."""

from __future__ import annotations

import sys

from ..functions import AsyncScalarFunction, UserDefinedFunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CO_ASYNC = 0x80 | 0x200
"""inspect.CO_COROUTINE and CO_ASYNC_GENERATOR: importing inspect costs 10 ms."""


def is_asynchronous(func: Any) -> bool:
    """Whether calling it gives an awaitable: `async def`, also behind partials, `eval` and `__call__`."""
    if isinstance(func, AsyncScalarFunction):
        return True
    call: Any = getattr(func, "eval", None) if isinstance(func, UserDefinedFunction) else func
    functools = sys.modules.get("functools")  # nothing is a partial where nobody imported it
    while functools is not None and isinstance(call, functools.partial):
        call = call.func
    code = getattr(call, "__code__", None)
    if code is None:
        code = getattr(getattr(type(call), "__call__", None), "__code__", None)  # noqa: B004
    return code is not None and bool(code.co_flags & _CO_ASYNC)
