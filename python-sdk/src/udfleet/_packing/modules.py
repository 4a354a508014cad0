"""Which modules the fleet can't import, so that their contents are pickled by value."""

from __future__ import annotations

import os
import sys
import sysconfig
import zipfile
from types import ModuleType

ALWAYS_THERE = frozenset({"udfleet", "cloudpickle", "__main__", "__mp_main__"})
"""Modules that never travel under their name."""


def _installed_roots() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    roots = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(os.path.realpath(root) + os.sep for root in roots)


def _is_installed(path: str, roots: tuple[str, ...]) -> bool:
    parts = path.split(os.sep)
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return (os.path.realpath(path) + os.sep).startswith(roots)


def is_installed(path: str) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    return _is_installed(path, _installed_roots())


def _locations(module: ModuleType) -> list[str]:
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return [file]
    try:
        return [path for path in getattr(module, "__path__", ()) if isinstance(path, str)]
    except Exception:  # any object may sit in sys.modules
        return []


def local_modules(covered: set[str]) -> list[ModuleType]:
    """Top-level modules, loaded now, that are neither installed nor in `covered`."""
    roots = _installed_roots()
    found = []
    for name, module in list(sys.modules.items()):
        if "." in name or name in ALWAYS_THERE or name in covered or not isinstance(module, ModuleType):
            continue
        locations = _locations(module)
        if locations and not all(_is_installed(path, roots) for path in locations):
            found.append(module)
    return found


def _top_level(names: list[str]) -> set[str]:
    found = set()
    for name in names:
        first, _, rest = name.replace(os.sep, "/").partition("/")
        if rest and first.isidentifier() and first != "__pycache__":
            found.add(first)
        elif first.endswith((".py", ".so", ".pyd")):
            found.add(first.split(".")[0])
    return found


def modules_in(path: str) -> set[str]:
    """Top-level modules that are certainly in a file or folder: a folder without `__init__` may hold anything."""
    if os.path.isdir(path):
        names = [
            f"{e}/__init__.py" if os.path.isfile(os.path.join(path, e, "__init__.py")) else e for e in os.listdir(path)
        ]
    elif path.endswith(".py"):
        names = [os.path.basename(path)]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    else:
        names = []
    return {name.split("/")[0].removesuffix(".py") for name in names if _is_module(name)}


def _is_module(name: str) -> bool:
    first, _, rest = name.partition("/")
    return rest == "__init__.py" or (not rest and first.endswith(".py"))


def provided_by(paths: list[str]) -> set[str]:
    """Top-level modules that an environment's files put on the interpreter's path."""
    found: set[str] = set()
    for path in paths:
        if os.path.isdir(path):
            entries = os.listdir(path)
            found |= _top_level([f"{e}/" + "x" if os.path.isdir(os.path.join(path, e)) else e for e in entries])
        elif path.endswith(".py"):
            found.add(os.path.basename(path)[:-3])
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found |= _top_level(archive.namelist())
    return found
