"""Names of `pyflink.common.types`."""

from udfleet import Row, RowKind

__all__ = ["Row", "RowKind"]
