"""Functions named `module:attr`, and the values and files that `call` takes."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from ..declaration import UserDefinedFunctionWrapper
from ..errors import InvalidConfigError, InvalidDefinitionError, InvalidInputError

_MARK = "UDFLEET_CLIENT_EXECUTABLE"


def run_in(executable: str) -> None:
    """Goes on in another Python (`python.client.executable`), unless that is this one."""
    found = shutil.which(executable)
    if found is None:
        raise InvalidConfigError(f"python.client.executable: {executable!r} is not an executable")
    if os.environ.get(_MARK) == executable or os.path.realpath(found) == os.path.realpath(sys.executable):
        return
    environment = {**os.environ, _MARK: executable}
    os.execve(found, [found, "-m", "udfleet", *sys.argv[1:]], environment)  # noqa: S606


def load(name: str) -> UserDefinedFunctionWrapper:
    """The declaration that `module:attr` names, looked for in the working folder too."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise click.BadParameter(f"{name!r} is not of the form module:attr")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0] and error.name != module:
            raise InvalidDefinitionError(f"importing {module!r} failed: {error}") from error
        raise InvalidDefinitionError(f"there is no module {module!r} here nor installed") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidDefinitionError(f"{module!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    if not isinstance(found, UserDefinedFunctionWrapper):
        what = type(found).__name__
        raise InvalidDefinitionError(
            f"{name!r} is a {what}", hint="declare the function with udfleet.udf, udtf, udaf or udtaf"
        )
    return found


def value(text: str) -> Any:
    """An argument of `call`: JSON where it is, else text; a JSON list is a column."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """A CSV, JSON-lines, Parquet or Arrow IPC file: all its columns, or those named."""
    try:
        table = _read(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{path} can't be read: {error}") from None
    for name in columns or ():
        if table.column_names.count(name) != 1:
            number = table.column_names.count(name) or "no"
            raise InvalidInputError(f"{path} has {number} columns {name!r}; it has {', '.join(table.column_names)}")
    return table if columns is None else table.select(columns)


def _read(path: str) -> pa.Table:
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        from pyarrow import csv

        return csv.read_csv(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        from pyarrow import json as arrow_json

        return arrow_json.read_json(path)
    if suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path)
    if suffix in (".arrow", ".feather", ".ipc"):
        from pyarrow import feather

        return feather.read_table(path)
    raise click.BadParameter(f"{path}: .csv, .json, .jsonl, .parquet and .arrow files can be read")


def pairs(given: tuple[str, ...], what: str) -> Mapping[str, str]:
    """`k=v` options as a dict."""
    result = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals:
            raise click.BadParameter(f"{what} {item!r} is not of the form key=value")
        result[key] = text
    return result
