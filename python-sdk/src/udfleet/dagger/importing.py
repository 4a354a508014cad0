"""Imports Dagger's files as PyFlink's Python would: these files, and nothing that happens to lie beside them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

from .._packing.modules import is_installed
from ..errors import InvalidDefinitionError
from .sources import Source, read_folder

STAND_IN = os.path.join(os.path.dirname(__file__), "stand_in")
"""A folder with a package `pyflink` whose names are udfleet's, so that Dagger's files can be used as they are."""


class _Loader(importlib.abc.SourceLoader):
    """One file's code, from memory: never from or into a cache of bytecode."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def get_filename(self, fullname: str) -> str:
        return self.source.file

    def get_data(self, path: str) -> bytes:
        if path != self.source.file:
            raise OSError(f"{path!r} can't be read while the fleet's functions are looked for")
        return self.source.text


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, sources: list[Source]) -> None:
        self.sources = {source.module: source for source in sources}
        self.folders = set(_parents(self.sources)) - self.sources.keys()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if source := self.sources.get(fullname):
            return importlib.util.spec_from_loader(fullname, _Loader(source), is_package=source.is_package)
        if fullname in self.folders:
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        return None


def _parents(modules: Iterable[str]) -> Iterator[str]:
    """The folders that modules lie in: importable without an `__init__.py`."""
    for module in modules:
        while module := module.rpartition(".")[0]:
            yield module


@contextlib.contextmanager
def importable(sources: list[Source]) -> Iterator[None]:
    """For the length of the block these files, and the stand-in for pyflink, can be imported.

    Files' modules stay loaded afterwards, so that functions travel by their names. A real pyflink is back then.
    """
    top_level = {source.module.partition(".")[0] for source in sources}
    for name in top_level:
        _check_free(name)
    _take_out(top_level)
    pyflink = _take_out({"pyflink"})
    finder = _Finder([*sources, *read_folder(STAND_IN)])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _take_out({"pyflink"})
        sys.modules.update(pyflink)


def import_source(source: Source) -> Any:
    """The module of a file; within `importable` only."""
    try:
        return importlib.import_module(source.module)
    except ModuleNotFoundError as error:
        raise InvalidDefinitionError(
            f"importing {source.file!r} failed: {error}",
            hint="what a file imports at its top has to be installed where it is registered, or imported inside of "
            "its function",
        ) from error
    except Exception as error:
        raise InvalidDefinitionError(f"importing {source.file!r} failed: {type(error).__name__}: {error}") from error


def _check_free(name: str) -> None:
    """Refuses names that would hide modules which others need."""
    loaded = sys.modules.get(name)
    file = getattr(loaded, "__file__", None)
    ours = isinstance(getattr(loaded, "__loader__", None), _Loader)
    needed = name in sys.stdlib_module_names or name in ("udfleet", "pyflink")
    if needed or (file is not None and not ours and is_installed(file)):
        raise InvalidDefinitionError(
            f"PYTHON_FILES has a module {name!r}, which would hide the one that is installed", hint="rename the file"
        )


def _take_out(top_level: set[str]) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in top_level]
    return {name: sys.modules.pop(name) for name in names}
