"""pandas: a registered function on Series. Importing this adds the accessor `.udfleet` to Series and DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from .._client.columns import to_batch
from ..errors import InvalidInputError
from ._function import EngineFunction

if TYPE_CHECKING:
    from .._client.fleet import Fleet


def function(fleet: Fleet, name: str, *, on_error: str | None = None) -> PandasFunction:
    """A registered scalar function, called with Series: `frame["c"] = f(frame["a"], frame["b"])`.

    :param name: `name`, its newest version as of now, or `name@version`.
    :param on_error: what becomes of rows that it raises for: `fail` or `null`; None: as it was registered.
    :raises InvalidDefinitionError: it is no scalar function, or takes no arguments.
    """
    return PandasFunction(EngineFunction(fleet, name, "pandas", on_error))


class PandasFunction:
    """A function of the fleet. Made by `function`; thread-safe."""

    def __init__(self, function: EngineFunction) -> None:
        if not function.input_types:
            raise function.refused("there is no column to tell how many rows", "use fleet.call(name, rows=...)")
        self._function = function

    def __repr__(self) -> str:
        return f"<{self._function.reference} for pandas>"

    def __call__(self, *columns: Any) -> pd.Series[Any]:
        """One value per row, as a Series with the index of the first.

        :param columns: Series of one index; anything else is what it is for `fleet.call`: lists and arrays are columns,
            other values are taken for all rows.
        :raises InvalidInputError: what is given does not convert, or the indexes differ.
        """
        self._function.check_count(len(columns))
        series = [column for column in columns if isinstance(column, pd.Series)]
        if any(not each.index.equals(series[0].index) for each in series[1:]):
            raise InvalidInputError(
                "the Series have different indexes",
                function=self._function.reference,
                hint="take them from one DataFrame, or align them first (Series.align, reset_index)",
            )
        batch = to_batch(self._function.reference, columns, self._function.inputs, None)
        answer = _to_series(self._function(batch.columns))
        return answer.set_axis(series[0].index).rename(series[0].name) if series else answer


def _to_series(answer: pa.ChunkedArray) -> pd.Series[Any]:
    # By default integers turn into floats where some are missing, and lose digits.
    masked = _MASKED.get if answer.null_count and answer.type in _MASKED else None
    series: pd.Series[Any] = answer.to_pandas(types_mapper=masked, integer_object_nulls=True, maps_as_pydicts="strict")
    return series


_MASKED = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
}


@pd.api.extensions.register_series_accessor("udfleet")
class SeriesAccessor:
    """`series.udfleet(fleet, "name", ...)`."""

    def __init__(self, series: pd.Series[Any]) -> None:
        self._series = series

    def __call__(self, fleet: Fleet, name: str, *others: Any, on_error: str | None = None) -> pd.Series[Any]:
        """Calls a registered function on this Series, and others."""
        return function(fleet, name, on_error=on_error)(self._series, *others)


@pd.api.extensions.register_dataframe_accessor("udfleet")
class FrameAccessor:
    """`frame.udfleet(fleet, "name", "a", "b")`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __call__(self, fleet: Fleet, name: str, *columns: str, on_error: str | None = None) -> pd.Series[Any]:
        """Calls a registered function on columns of this DataFrame; without any, on all of them."""
        chosen = columns or tuple(self._frame.columns)
        return function(fleet, name, on_error=on_error)(*(self._frame[column] for column in chosen))
