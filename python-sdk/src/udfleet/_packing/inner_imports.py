"""Local modules that functions import when they run: no pickled object refers to them, so they travel as files."""

from __future__ import annotations

import dis
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType

from .archive import folder_files
from .modules import ALWAYS_THERE, is_installed


def of_function(function: FunctionType) -> set[str]:
    """Top-level modules that the code of a function imports."""
    variables = function.__globals__
    package = variables.get("__package__") or str(variables.get("__name__", "")).rpartition(".")[0]
    return set(_imported(function.__code__, str(package).partition(".")[0]))


def find(names: Iterable[str], covered: set[str]) -> dict[str, str]:
    """File or package folder of each of these modules that is local, and of the local ones that they import in turn.

    :param covered: modules that the fleet has, or is sent anyway.
    """
    found: dict[str, str] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        if name in found or name in covered or name in ALWAYS_THERE or name in sys.stdlib_module_names:
            continue
        path = _location(name)
        if path is not None:
            found[name] = path
            waiting |= _imports_of(name, path)
    return found


def _imported(code: CodeType, package: str) -> Iterator[str]:
    """The first part of what is imported; relative imports mean the package."""
    instructions = list(dis.get_instructions(code))
    for index, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            # The level and the names lie on the stack.
            level = instructions[index - 2].argval
            yield package if level else str(instruction.argval).partition(".")[0]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported(constant, package)


def _location(name: str) -> str | None:
    """Where a local module lies. It is not imported."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # of a module that has no spec, or not one that can be read
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    path = folders[0] if len(folders) == 1 else spec.origin
    if path is None or not (os.path.isdir(path) if folders else path.endswith(".py") and os.path.isfile(path)):
        return None
    return None if is_installed(path) else os.path.abspath(path)


def _imports_of(name: str, path: str) -> set[str]:
    files = (file for file, _ in folder_files(path) if file.endswith(".py")) if os.path.isdir(path) else (path,)
    names: set[str] = set()
    for file in files:
        try:
            with open(file, "rb") as source:
                code = compile(source.read(), file, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):  # who imports it is told
            continue
        names.update(_imported(code, name))
    return names
