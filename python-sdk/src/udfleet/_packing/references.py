"""Loads, on an interpreter, a declared function that travels by name. Runs on a bare Python."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def resolve(module: str, qualname: str) -> Any:
    """The object of that name."""
    from importlib import import_module

    found: Any = import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def resolve_function(module: str, qualname: str) -> Any:
    """The function behind the `udf` declaration of that name."""
    return resolve(module, qualname).func
