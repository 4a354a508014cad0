"""Polars: a registered function as expressions of eager and lazy frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ._function import EngineFunction

if TYPE_CHECKING:
    import polars as pl

    from .._client.fleet import Fleet


def function(fleet: Fleet, name: str, *, on_error: str | None = None) -> PolarsFunction:
    """A registered scalar function, called with columns: `frame.select(f("a", pl.col("b") + 1))`.

    :param name: `name`, its newest version as of now, or `name@version`.
    :param on_error: what becomes of rows that it raises for: `fail` or `null`; None: as it was registered.
    :raises InvalidDefinitionError: it is no scalar function, or has a type that Polars lacks.
    """
    return PolarsFunction(EngineFunction(fleet, name, "Polars", on_error))


class PolarsFunction:
    """A function of the fleet. Made by `function`; thread-safe."""

    def __init__(self, function: EngineFunction) -> None:
        import polars as pl

        self._function = function
        if not function.input_types:
            raise function.refused(
                "its functions take at least one column", "declare the function with an argument that it ignores"
            )
        function.refuse_types("INTERVAL_YEAR_MONTH")
        empty = [pl.Series(pl.from_arrow(pa.array([], field.type))) for field in function.inputs]
        function.check([series.to_arrow().type for series in empty])
        self.return_dtype: pl.DataType = pl.Series(pl.from_arrow(pa.array([], function.result.type))).dtype
        """The type of its results."""

    def __repr__(self) -> str:
        return f"<{self._function.reference} for Polars>"

    def __call__(self, *columns: str | pl.Expr) -> pl.Expr:
        """The expression that calls it.

        :param columns: names of columns, and expressions; `pl.lit(1)` is a value for all rows.
        :raises InvalidInputError: it takes another number of them.
        """
        import polars as pl

        self._function.check_count(len(columns))
        return pl.map_batches(columns, self.map_batches, return_dtype=self.return_dtype, is_elementwise=True)

    def map_batches(self, columns: Sequence[pl.Series]) -> pl.Series:
        """Calls it on columns, in batches. Columns of one row are values for all rows."""
        import polars as pl

        self._function.check_count(len(columns))
        rows = next((len(column) for column in columns if len(column) != 1), 1)
        answer: Any = pl.from_arrow(self._function([_chunks(_stretched(column, rows)) for column in columns]))
        return pl.Series(columns[0].name, answer, dtype=self.return_dtype)


def _stretched(column: pl.Series, rows: int) -> pl.Series:
    return column if len(column) == rows else column.new_from_index(0, rows)


def _chunks(column: pl.Series) -> pa.ChunkedArray:
    """Without copying chunks into one."""
    return pa.chunked_array([chunk.to_arrow() for chunk in column.get_chunks()])
