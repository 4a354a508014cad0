"""Names of `pyflink.common`."""

from .types import Row, RowKind

__all__ = ["Row", "RowKind"]
