"""The files that `call` reads and writes: CSV, JSON lines, Parquet, Arrow."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("csv", "json", "parquet", "arrow")

_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_STDIN = "-"


def format_of(path: str) -> str:
    """The format that a file's suffix names.

    :raises click.BadParameter: it names none.
    """
    found = _SUFFIXES.get(Path(path).suffix.lower())
    if found is None:
        raise click.BadParameter(f"{path}: the format is told by one of {', '.join(_SUFFIXES)}")
    return found


def read_table(path: str, columns: list[str] | None = None, kind: str | None = None) -> pa.Table:
    """A file, or stdin where the path is `-`: all its columns, or those named.

    :param kind: one of FORMATS; None: by the suffix, of stdin by its first bytes.
    """
    import pyarrow as pa

    what = "stdin" if path == _STDIN else path
    if kind is None and path != _STDIN:
        kind = format_of(path)
    try:
        data: BinaryIO = io.BytesIO(sys.stdin.buffer.read()) if path == _STDIN else Path(path).open("rb")
        with data:
            table = _READERS[kind or _guess(data)](data)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{what} can't be read: {error}") from None
    for name in columns or ():
        if table.column_names.count(name) != 1:
            number = table.column_names.count(name) or "no"
            raise InvalidInputError(f"{what} has {number} columns {name!r}; it has {', '.join(table.column_names)}")
    return table if columns is None else table.select(columns)


def _guess(data: BinaryIO) -> str:
    start = data.read(8)
    data.seek(0)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    return "json" if start.lstrip().startswith(b"{") else "csv"


def _read_csv(data: BinaryIO) -> pa.Table:
    from pyarrow import csv

    return csv.read_csv(data)


def _read_json(data: BinaryIO) -> pa.Table:
    from pyarrow import json as arrow_json

    return arrow_json.read_json(data)


def _read_parquet(data: BinaryIO) -> pa.Table:
    from pyarrow import parquet

    return parquet.read_table(data)


def _read_arrow(data: BinaryIO) -> pa.Table:
    from pyarrow import ipc

    start = data.read(6)
    data.seek(0)
    return ipc.open_file(data).read_all() if start == b"ARROW1" else ipc.open_stream(data).read_all()


_READERS: dict[str, Callable[[BinaryIO], Any]] = {
    "csv": _read_csv,
    "json": _read_json,
    "parquet": _read_parquet,
    "arrow": _read_arrow,
}


def write_table(table: pa.Table, path: str, kind: str) -> None:
    """Writes a file of one of FORMATS."""
    import pyarrow as pa

    try:
        _WRITERS[kind](table, path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"the results can't be written to {path}: {error}") from None


def json_line(value: Any) -> str:
    """A row of results."""
    return json.dumps(value, default=str) + "\n"


def _write_csv(table: pa.Table, path: str) -> None:
    from pyarrow import csv

    csv.write_csv(table, path)


def _write_json(table: pa.Table, path: str) -> None:
    with Path(path).open("w", encoding="utf-8") as file:
        file.writelines(map(json_line, table.to_pylist()))


def _write_parquet(table: pa.Table, path: str) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path)


def _write_arrow(table: pa.Table, path: str) -> None:
    from pyarrow import feather

    feather.write_feather(table, path, compression="uncompressed")


_WRITERS: dict[str, Callable[[Any, str], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
    "arrow": _write_arrow,
}
