"""Which names pickled code may look up: of a module that can't be pickled as a whole, the others are left out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ..declaration import UserDefinedFunctionWrapper


def code_names(code: CodeType) -> set[str]:
    """Names of variables and attributes in a function and in what is defined within it, and texts that may be some."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= code_names(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            names.add(constant)
    return names


def used_names(func: Any, local: set[str]) -> set[str]:
    """Names in all code that a function reaches, as far as one can see without running it.

    :param local: top-level modules whose code travels by value.
    """
    names: set[str] = set()
    modules: list[ModuleType] = []
    seen: set[int] = set()
    waiting = [func]
    while waiting:
        while waiting:
            value = waiting.pop()
            if id(value) in seen or not _is_local(value, local):
                continue
            seen.add(id(value))
            if isinstance(value, ModuleType):
                modules.append(value)
            elif isinstance(value, FunctionType):
                names |= code_names(value.__code__)
            waiting += _held(value)
        for module in modules:
            waiting += [value for name, value in vars(module).items() if name in names and id(value) not in seen]
        waiting = [value for value in waiting if _is_local(value, local)]
    return names


def _is_local(value: Any, local: set[str]) -> bool:
    if isinstance(value, ModuleType):
        return value.__name__.split(".")[0] in local
    if isinstance(value, (FunctionType, type)):
        module = str(value.__module__ or "__main__").split(".")[0]
        return module in local or module == "__main__"
    return not isinstance(value, (str, bytes, int, float, complex, bool, type(None)))


def _held(value: Any) -> Iterator[Any]:
    """What an object refers to, where code may be."""
    if isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, UserDefinedFunctionWrapper):
        yield value.func
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, type):
        yield from value.__bases__
        yield from vars(value).values()
    elif isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif isinstance(value, property):
        yield from (part for part in (value.fget, value.fset, value.fdel) if part is not None)
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif not isinstance(value, ModuleType):
        yield type(value)
        yield from _attributes(value)


def _attributes(value: Any) -> Iterable[Any]:
    held = getattr(value, "__dict__", None)
    return list(held.values()) if isinstance(held, dict) else []


def _of_function(function: FunctionType) -> Iterator[Any]:
    variables = function.__globals__
    for name in code_names(function.__code__):
        if name in variables:
            yield variables[name]
    yield from closure(function).values()
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()


def closure(function: FunctionType) -> dict[str, Any]:
    """The variables of surrounding functions that a function uses, as far as they have values."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # noqa: PERF203 - not assigned yet
            continue
    return found


def root_of(module: ModuleType) -> str | None:
    """What `Environment(files=[...])` takes to bring a module: its file, or the folder that its package lies in."""
    import os
    import sys

    top = sys.modules.get(module.__name__.split(".")[0], module)
    if hasattr(top, "__path__"):
        return next((os.path.dirname(os.path.abspath(path)) for path in top.__path__), None)
    try:
        return inspect.getsourcefile(top)
    except TypeError:
        return None
