"""The progress of a stream, for people: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import pyarrow as pa

_LINE_SECONDS = 5.0


class RowCount:
    """Rows of the input that were taken so far."""

    def __init__(self) -> None:
        self.rows = 0


class _Progress:
    """Of how many rows of the input, and what came of them."""

    def __init__(self, total: int | None, taken: RowCount | None, keeps_rows: Callable[[], bool]) -> None:
        self.total = total
        self.results = 0
        self._taken = taken
        self._keeps_rows = keeps_rows
        self._separate: bool | None = None
        self._start = time.perf_counter()

    def add(self, rows: int) -> None:
        """Results have come."""
        self.results += rows
        if self._separate is None:
            # Of a function that gives any number of rows for each, results are no part of the input.
            self._separate = self._taken is not None and not self._keeps_rows()

    @property
    def rows(self) -> int:
        """Rows of the input, as far as they are done."""
        return self._taken.rows if self._separate and self._taken is not None else self.results

    @property
    def results_text(self) -> str:
        """How many results, where that is another number."""
        return f", {self.results:,} results" if self._separate else ""

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._start

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / max(self.seconds, 1e-9)


def shown(
    name: str,
    batches: Iterator[pa.RecordBatch],
    total: int | None,
    taken: RowCount | None = None,
    keeps_rows: Callable[[], bool] = lambda: True,
) -> Iterator[pa.RecordBatch]:
    """The batches, while rows are counted on stderr.

    :param total: rows of the input, where that is known.
    :param taken: counts the rows of the input.
    :param keeps_rows: whether there is one result for each of them; asked once results have come.
    """
    progress = _Progress(total, taken, keeps_rows)
    return _bar(name, batches, progress) if sys.stderr.isatty() else _lines(name, batches, progress)


def _bar(name: str, batches: Iterator[pa.RecordBatch], progress: _Progress) -> Iterator[pa.RecordBatch]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows{task.fields[results]}"),
        TextColumn("{task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=progress.total, rate=0.0, results="")
        for batch in batches:
            progress.add(batch.num_rows)
            bar.update(task, completed=progress.rows, rate=progress.rate, results=progress.results_text)
            yield batch
        bar.update(task, total=progress.rows)


def _lines(name: str, batches: Iterator[pa.RecordBatch], progress: _Progress) -> Iterator[pa.RecordBatch]:
    told = time.perf_counter()
    for batch in batches:
        progress.add(batch.num_rows)
        now = time.perf_counter()
        if now - told >= _LINE_SECONDS:
            told = now
            _tell(name, progress)
        yield batch
    _tell(name, progress)


def _tell(name: str, progress: _Progress) -> None:
    part = f" of {progress.total:,}" if progress.total is not None else ""
    counted = f"{progress.rows:,}{part} rows{progress.results_text}"
    print(f"{name}: {counted} in {progress.seconds:.1f} s, {progress.rate:,.0f} rows/s", file=sys.stderr)
