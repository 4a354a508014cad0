"""The Python files that `PYTHON_FILES` names, those inside of zips among them."""

from __future__ import annotations

import ast
import os
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

from .._packing.archive import folder_files
from ..environment import base_name
from ..errors import InvalidDefinitionError

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Source(NamedTuple):
    """One Python file."""

    module: str
    """What it is imported as, such as `udfs.scalar.multiply`."""
    file: str
    """Where it lies; inside of a zip the zip's path comes first."""
    text: bytes
    listed: bool
    """Whether `PYTHON_FILES` names this very file, not a zip around it."""
    is_package: bool = False

    @property
    def function(self) -> str:
        """The function that Dagger expects in it: as its file is named."""
        return self.module.rpartition(".")[2]


def read(paths: list[str]) -> list[Source]:
    """All Python files.

    :raises InvalidDefinitionError: for paths that are absent or neither .py nor .zip, and for modules that come twice.
    """
    sources: dict[str, Source] = {}
    for path in paths:
        for source in _read(path):
            other = sources.setdefault(source.module, source)
            if other is not source:
                raise InvalidDefinitionError(f"{other.file!r} and {source.file!r} are both module {source.module!r}")
    return list(sources.values())


def _read(path: str) -> Iterator[Source]:
    if not path.endswith((".py", ".zip")):
        raise InvalidDefinitionError(f"PYTHON_FILES: {path!r} is neither .py nor .zip")
    if not os.path.isfile(path):
        raise InvalidDefinitionError(f"PYTHON_FILES: {path!r} does not exist (looked for in {os.getcwd()!r})")
    path = os.path.abspath(path)
    if path.endswith(".py"):
        with open(path, "rb") as file:
            yield _source(base_name(path), path, file.read(), True)
        return
    if not zipfile.is_zipfile(path):
        raise InvalidDefinitionError(f"PYTHON_FILES: {path!r} is not a zip file")
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".py") and "__pycache__" not in name:
                yield _source(name, os.path.join(path, name), archive.read(name), False)


def read_folder(folder: str) -> list[Source]:
    """All Python files below a folder that is on the path."""
    found = []
    for path, name in folder_files(folder):
        if name.endswith(".py"):
            with open(path, "rb") as file:
                found.append(_source(name, path, file.read(), False))
    return found


def _source(name: str, file: str, text: bytes, listed: bool) -> Source:
    parts = name[: -len(".py")].split("/")
    if not all(part.isidentifier() for part in parts):
        raise InvalidDefinitionError(
            f"{file!r} can't be imported: folders and files have to be named as Python names things"
        )
    is_package = parts[-1] == "__init__" and len(parts) > 1
    return Source(".".join(parts[:-1] if is_package else parts), file, text, listed, is_package)


def top_level_names(source: Source) -> set[str]:
    """The names that a file binds, found without running it."""
    try:
        tree = ast.parse(source.text, source.file)
    except (SyntaxError, ValueError) as error:
        raise InvalidDefinitionError(f"{source.file!r} is not Python of this version: {error}") from None
    return {name for statement in tree.body for name in _bound(statement)}


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, _DEFINITIONS):
        yield statement.name
        return
    # Imports and assignments, also those below if, try and with.
    for node in ast.walk(statement):
        if isinstance(node, _DEFINITIONS):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
