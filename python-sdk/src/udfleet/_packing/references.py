"""Rebuilds, on an interpreter, what pickles can't hold as it is. Runs on a bare Python.

What may refer to itself is made empty first and filled then, as pickle does with lists.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any


def resolve(module: str, qualname: str) -> Any:
    """The object of that name."""
    from importlib import import_module

    found: Any = import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def resolve_function(module: str, qualname: str) -> Any:
    """The function behind the `udf` declaration of that name."""
    return resolve(module, qualname).func


def new_module(name: str) -> ModuleType:
    """An empty module."""
    from types import ModuleType

    return ModuleType(name)


def fill_module(module: ModuleType, content: tuple[dict[str, Any], dict[str, str]]) -> None:
    """Gives a module its variables; those that were not pickled raise an error that says why."""
    variables, left_out = content
    module.__dict__.update(variables, __builtins__=__builtins__)
    if not left_out:
        return

    def missing(name: str) -> Any:
        if name in left_out:
            raise AttributeError(f"{module.__name__}.{name} did not travel with the function: {left_out[name]}")
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__dict__.setdefault("__getattr__", missing)


def new_cached(maxsize: int | None, typed: bool) -> Any:
    """A function under `functools.lru_cache`, with an empty cache, that calls what it is filled with."""
    from functools import lru_cache

    return lru_cache(maxsize, typed)(_placeholder())


def fill_wrapper(wrapper: Any, function: Any) -> None:
    """Gives such a function what it calls."""
    from functools import update_wrapper

    wrapper.__wrapped__.__wrapped__ = function
    update_wrapper(wrapper, function)


def named_code(make: Callable[..., CodeType], arguments: tuple[Any, ...], file: str) -> CodeType:
    """Code under the name of the file that it was written in: tracebacks and profiles show it."""
    return make(*arguments).replace(co_filename=file)


def new_dispatched() -> Any:
    """A function under `functools.singledispatch` that calls what it is filled with."""
    from functools import singledispatch

    return singledispatch(_placeholder())


def fill_dispatched(dispatched: Any, content: tuple[Any, list[tuple[type, Any]]]) -> None:
    """Gives such a function its default and what is registered for types."""
    function, registered = content
    fill_wrapper(dispatched, function)
    for cls, each in registered:
        dispatched.register(cls, each)


def _placeholder() -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return call.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]

    return call
