"""Names of `pyflink.table.data_view`."""

from udfleet import ListView, MapView

__all__ = ["ListView", "MapView"]
