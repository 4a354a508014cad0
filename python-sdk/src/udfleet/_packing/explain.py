"""Why a function can't be pickled: which variable of which module is at fault, and what to do about it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ..declaration import UserDefinedFunctionWrapper
from ..errors import NotPicklableError
from .names import closure, code_names, root_of

Failure = Callable[[Any], "Exception | None"]
"""Why a value can't be pickled; None: it can."""

_HINT = "make it in ScalarFunction.open(), which runs on the interpreter, or inside the function"
_MAX_DEPTH = 30


def explain(
    wrapper: UserDefinedFunctionWrapper, error: Exception, failure: Failure, local: set[str]
) -> NotPicklableError:
    """The error for a declaration that can't be pickled.

    :param local: top-level modules that travel by value.
    """
    path = _path(wrapper.func, error, failure)
    # What a library's object holds is not the user's to change: the variable with that object is.
    own = [index for index, step in enumerate(path) if _is_own(step.module, local)]
    path = path[: own[-1] + 1] if own else path
    if not path:
        text = f"can't be pickled: {_text(error)}"
        return NotPicklableError(text, function=wrapper.name, hint=_HINT)
    last = path[-1]
    where, value = last.where, last.value
    for step in reversed(path[:-1]):
        if not isinstance(step.value, (dict, list, tuple, set, frozenset)):
            break
        where = f"{where}, in {step.where}"
    kind = f"{type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
    way = [step.value for step in path[:-1] if isinstance(step.value, (FunctionType, type, ModuleType))]
    by = f" (by way of {', '.join(map(_named, way))})" if way else ""
    text = f"refers to {where}, a {kind}{by}, which can't travel to another process: {_text(last.reason)}"
    return NotPicklableError(text, function=wrapper.name, hint=_hint(last.module, local))


class _Step:
    """One reference on the way from a function to what can't be pickled."""

    def __init__(self, where: str, module: str | None, value: Any, reason: Exception) -> None:
        self.where = where
        self.module = module
        self.value = value
        self.reason = reason


def _path(func: Any, error: Exception, failure: Failure) -> list[_Step]:
    path: list[_Step] = []
    seen = {id(func)}
    held, module = func, getattr(func, "__module__", None)
    while len(path) < _MAX_DEPTH:
        for where, owner, value in _held(held, module):
            if id(value) in seen:
                continue
            seen.add(id(value))
            reason = failure(value)
            if reason is not None:
                path.append(_Step(where, owner, value, reason))
                held, module = value, owner
                break
        else:
            return path
    return path


def _held(value: Any, module: str | None) -> Iterator[tuple[str, str | None, Any]]:
    """What an object holds: where, in which module that is written, and the value."""
    if isinstance(value, UserDefinedFunctionWrapper):
        yield "the declared function", value.__module__, value.func
    elif isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, MethodType):
        yield "its object", module, value.__self__
        yield "its function", module, value.__func__
    elif isinstance(value, functools.partial):
        yield "the function of a partial", module, value.func
        yield from ((f"argument {index} of a partial", module, item) for index, item in enumerate(value.args))
        yield from ((f"the argument {name!r} of a partial", module, item) for name, item in value.keywords.items())
    elif isinstance(value, ModuleType):
        name = value.__name__
        for key, item in list(vars(value).items()):
            if not key.startswith("__"):
                yield f"the global variable {key!r} of module {name!r}", name, item
    elif isinstance(value, type):
        for key, item in list(vars(value).items()):
            yield f"the attribute {key!r} of class {value.__qualname__}", value.__module__, item
        yield from (("a base class", base.__module__, base) for base in value.__bases__)
    elif isinstance(value, dict):
        yield from ((f"the value of key {_shown(key)}", module, item) for key, item in list(value.items()))
        yield from ((f"the key {_shown(key)}", module, key) for key in list(value))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"item {index} of a {type(value).__name__}", module, item) for index, item in enumerate(value))
    else:
        yield from _of_object(value)


def _of_function(function: FunctionType) -> Iterator[tuple[str, str | None, Any]]:
    module = function.__module__
    if hasattr(function, "__wrapped__"):
        yield "the function that it wraps", module, function.__wrapped__
    for name, value in closure(function).items():
        yield f"the variable {name!r} around {function.__qualname__}", module, value
    for name in sorted(code_names(function.__code__) & function.__globals__.keys()):
        yield f"the global variable {name!r} of module {module!r}", module, function.__globals__[name]
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield f"the default value {_shown(value)}", module, value
    for name, value in vars(function).items():
        yield f"the attribute {name!r} of {function.__qualname__}", module, value


def _of_object(value: Any) -> Iterator[tuple[str, str | None, Any]]:
    cls = type(value)
    if hasattr(value, "__wrapped__"):
        yield "the function that it wraps", getattr(value, "__module__", None), value.__wrapped__
    held = getattr(value, "__dict__", None)
    found = dict(held) if isinstance(held, dict) else {}
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                found[name] = getattr(value, name)
    for name, item in found.items():
        yield f"the attribute {name!r} of a {cls.__qualname__}", cls.__module__, item
    yield "its class", cls.__module__, cls


def _named(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{value.__module__}.{value.__qualname__}"


def _is_own(module: str | None, local: set[str]) -> bool:
    return module is None or module == "__main__" or module.split(".")[0] in local


def _shown(value: Any) -> str:
    """A short `repr`, which may fail: it is the user's."""
    try:
        return repr(value)[:60]
    except Exception:
        return f"<{type(value).__qualname__}>"


def _text(error: Exception) -> str:
    """What an error says, without what no message can hold: lone surrogates."""
    try:
        said = str(error) or type(error).__name__
    except Exception:  # its class is the user's
        said = type(error).__name__
    return said.encode("utf-8", "backslashreplace").decode()


def _hint(module: str | None, local: set[str]) -> str:
    """The hint for a module in a file: ship that file."""
    found = sys.modules.get(module or "")
    root = root_of(found) if found is not None and (module or "").split(".")[0] in local else None
    if root is None:
        return _HINT
    return f"Environment(files=[{root!r}]) brings the module itself: it is imported there, not copied; or {_HINT}"
