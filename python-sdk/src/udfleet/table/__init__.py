"""Expressions over columns, and tables: plans of calls, filters, joins with table functions and groups."""

from __future__ import annotations

from .expression import Expression, call, col, if_then_else, lit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .table import GroupedTable, Table

__all__ = ["Expression", "GroupedTable", "Table", "call", "col", "if_then_else", "lit"]


def __getattr__(name: str) -> object:
    if name not in ("GroupedTable", "Table"):
        raise AttributeError(f"module 'udfleet.table' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(".table", __name__), name)
