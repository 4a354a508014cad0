"""The progress of a stream, for people: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pyarrow as pa

_LINE_SECONDS = 5.0


def shown(name: str, batches: Iterator[pa.RecordBatch], total: int | None) -> Iterator[pa.RecordBatch]:
    """The batches, while their rows are counted on stderr."""
    return _bar(name, batches, total) if sys.stderr.isatty() else _lines(name, batches, total)


def _bar(name: str, batches: Iterator[pa.RecordBatch], total: int | None) -> Iterator[pa.RecordBatch]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TextColumn("{task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total, rate=0.0)
        start, rows = time.perf_counter(), 0
        for batch in batches:
            rows += batch.num_rows
            progress.update(task, completed=rows, rate=rows / max(time.perf_counter() - start, 1e-9))
            yield batch
        progress.update(task, total=rows)


def _lines(name: str, batches: Iterator[pa.RecordBatch], total: int | None) -> Iterator[pa.RecordBatch]:
    start = told = time.perf_counter()
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        now = time.perf_counter()
        if now - told >= _LINE_SECONDS:
            told = now
            _tell(name, rows, total, now - start)
        yield batch
    _tell(name, rows, total, time.perf_counter() - start)


def _tell(name: str, rows: int, total: int | None, seconds: float) -> None:
    part = f" of {total:,}" if total is not None else ""
    rate = rows / max(seconds, 1e-9)
    print(f"{name}: {rows:,}{part} rows in {seconds:.1f} s, {rate:,.0f} rows/s", file=sys.stderr)
