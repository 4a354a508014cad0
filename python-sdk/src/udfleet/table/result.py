"""`TableResult`: a table's results as they come, as RecordBatches, as rows, or printed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from ..row import Row
from ..types import DataType
from ..types.arrow import from_arrow

if TYPE_CHECKING:
    import pyarrow as pa

_WIDE = 30
_NARROW = 20
_TEXTS = frozenset({"CHAR", "VARCHAR", "BINARY", "VARBINARY", "ARRAY", "MAP", "MULTISET", "ROW"})


class TableResult(Iterator["pa.RecordBatch"]):
    """An iterator over RecordBatches. What one method has taken, no other gives again."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches

    def __iter__(self) -> TableResult:
        return self

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def __enter__(self) -> TableResult:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives up what is under way."""
        if isinstance(self._batches, Generator):
            self._batches.close()

    def collect(self) -> CollectedRows:
        """The rows, their values as functions get them: `dict` for MAP, `Row` for ROW."""
        return CollectedRows(self._rows(), self.close)

    def _rows(self) -> Generator[Row, None, None]:
        for batch in self._batches:
            types = [from_arrow(field.type, f"column {field.name!r}") for field in batch.schema]
            columns = [column.to_pylist() for column in batch.columns]
            for values in zip(*columns):
                yield Row(*map(_value, values, types))

    def print(self) -> None:
        """Prints the rows as they come, long values cut, and how many there were."""
        count, line = 0, ""
        widths: list[int] = []
        for batch in self._batches:
            types = [from_arrow(field.type, f"column {field.name!r}") for field in batch.schema]
            if not widths:
                widths = [max(_width(data_type), len(name)) for data_type, name in zip(types, batch.schema.names)]
                line = "+".join(["", *("-" * (width + 2) for width in widths), ""])
                _say(line, _joined(batch.schema.names, widths), line)
            for values in zip(*(column.to_pylist() for column in batch.columns)):
                shown = ["NULL" if v is None else str(_value(v, t)) for v, t in zip(values, types, strict=True)]
                _say(_joined(shown, widths))
            count += batch.num_rows
        _say(*([line] if line else []), f"{count} {'row' if count == 1 else 'rows'} in set")


class CollectedRows(Iterator[Row]):
    """An iterator over rows, which `with` closes, as PyFlink's CloseableIterator."""

    def __init__(self, rows: Generator[Row, None, None], close: Callable[[], None]) -> None:
        self._rows = rows
        self._close = close

    def __iter__(self) -> CollectedRows:
        return self

    def __next__(self) -> Row:
        return next(self._rows)

    def __enter__(self) -> CollectedRows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives up what is under way; there are no further rows."""
        self._rows.close()
        self._close()


def _say(*lines: str) -> None:
    for line in lines:
        print(line)  # noqa: T201 - what it is for


def _joined(texts: list[str], widths: list[int]) -> str:
    cut = [text if len(text) <= width else text[: width - 3] + "..." for text, width in zip(texts, widths, strict=True)]
    return "| " + " | ".join(text.rjust(width) for text, width in zip(cut, widths, strict=True)) + " |"


def _width(data_type: DataType) -> int:
    return _WIDE if data_type.root in _TEXTS or data_type.precision > 6 else _NARROW


def _value(value: Any, data_type: DataType) -> Any:
    """What pyarrow gives for a value, as a general function gets it."""
    if value is None:
        return None
    element = data_type.element
    if data_type.root == "ARRAY" and element is not None:
        return [_value(item, element) for item in value]
    if data_type.root == "MAP" and element is not None and data_type.key is not None:
        return {_value(key, data_type.key): _value(item, element) for key, item in value}
    if data_type.root == "ROW":
        return Row(**{field.name: _value(value[field.name], field.data_type) for field in data_type.fields})
    if data_type.root == "INTERVAL_YEAR_MONTH":
        return value.months
    return value
