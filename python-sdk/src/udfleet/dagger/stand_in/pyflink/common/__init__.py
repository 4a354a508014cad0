"""Names of `pyflink.common`."""

from udfleet import Row, RowKind

__all__ = ["Row", "RowKind"]
