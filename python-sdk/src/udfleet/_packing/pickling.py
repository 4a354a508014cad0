"""Functions as pickles: by reference where the fleet can import them, else by value."""

from __future__ import annotations

import inspect
import io
import sys
import threading
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import cloudpickle

from ..declaration import UserDefinedFunctionWrapper
from ..errors import NotPicklableError
from ..functions import UserDefinedFunction
from .modules import local_modules
from .references import resolve, resolve_function
from .sources import Sources

# The newest protocol of the oldest Python that interpreters run on.
_PROTOCOL = 5
_HINT = "make it in ScalarFunction.open(), which runs on the interpreter, or inside the function"

# cloudpickle's registry of modules to pickle by value is global.
_registry = threading.Lock()


class Pickled(NamedTuple):
    """A payload."""

    data: bytes
    holds_bytecode: bool
    """Only the Python version that wrote it can load it."""
    source_files: dict[str, str]
    """The source lines of that bytecode, by file name."""


class _ByName:
    """Pickles as: the function behind the declaration of this name."""

    def __init__(self, module: str, qualname: str) -> None:
        self.name = (module, qualname)

    def __reduce__(self) -> tuple[Any, ...]:
        return (resolve_function, self.name)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, local: set[str]) -> None:
        super().__init__(file, protocol=_PROTOCOL)
        self.local = local
        self.holds_bytecode = False
        self.sources = Sources()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, CodeType):
            self.holds_bytecode = True
        elif isinstance(obj, UserDefinedFunctionWrapper) and _importable(obj, self.local):
            return (resolve, (obj.__module__, obj.__qualname__))
        reduced = super().reducer_override(obj)
        if isinstance(obj, FunctionType) and reduced is not NotImplemented:
            self.sources.add(obj)
        return reduced


def _find(wrapper: UserDefinedFunctionWrapper, local: set[str]) -> Any:
    """What the fleet finds by the declaration's name; None: nothing."""
    module = wrapper.__module__
    if module == "__main__" or module.split(".")[0] in local or module not in sys.modules:
        return None
    try:
        return resolve(module, wrapper.__qualname__)
    except (AttributeError, ImportError):
        return None


def _importable(wrapper: UserDefinedFunctionWrapper, local: set[str]) -> bool:
    """Whether the fleet finds this very declaration by its name."""
    return _find(wrapper, local) is wrapper


def _known_by_name(wrapper: UserDefinedFunctionWrapper, local: set[str]) -> bool:
    """Whether the fleet finds its function by that name, perhaps behind another declaration of it."""
    found = _find(wrapper, local)
    return isinstance(found, UserDefinedFunctionWrapper) and found.func is wrapper.func


def _dump(obj: Any, local: set[str]) -> Pickled:
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, local)
    pickler.dump(obj)
    return Pickled(buffer.getvalue(), pickler.holds_bytecode, pickler.sources.texts())


def pickle_function(wrapper: UserDefinedFunctionWrapper, covered: set[str]) -> Pickled:
    """Pickles the function behind a declaration.

    :param covered: top-level modules that the environment's files provide.
    :raises NotPicklableError: naming what can't travel.
    """
    with _registry:
        modules = local_modules(covered)
        ours = [module for module in modules if module.__name__ not in cloudpickle.list_registry_pickle_by_value()]
        local = {module.__name__ for module in modules}
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            payload = wrapper.func
            if _known_by_name(wrapper, local):
                payload = _ByName(wrapper.__module__, wrapper.__qualname__)
            return _dump(payload, local)
        except Exception as error:
            raise _explain(wrapper, error, local) from error
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)


def _explain(wrapper: UserDefinedFunctionWrapper, error: Exception, local: set[str]) -> NotPicklableError:
    for what, value in _parts(wrapper.func):
        try:
            _dump(value, local)
        except Exception as reason:  # noqa: PERF203 - the one that fails is searched
            kind = f"{type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
            text = f"refers to {what}, a {kind}, which can't travel to another process: {reason}"
            return NotPicklableError(text, function=wrapper.name, hint=_HINT)
    return NotPicklableError(f"can't be pickled: {error}", function=wrapper.name, hint=_HINT)


def _parts(func: Any) -> list[tuple[str, Any]]:
    """What a function or object holds, with a name for each."""
    parts: list[tuple[str, Any]] = []
    for name, value in getattr(func, "__dict__", {}).items():
        if name != "__wrapped__":
            parts.append((f"the attribute {name!r}", value))
    for call in _methods(func):
        variables = inspect.getclosurevars(call)
        parts += [(f"the variable {name!r}", value) for name, value in variables.nonlocals.items()]
        parts += [(f"the global variable {name!r}", value) for name, value in variables.globals.items()]
        parts += [(f"the default value {value!r:.60}", value) for value in call.__defaults__ or ()]
    return parts


def _methods(func: Any) -> list[FunctionType]:
    """The Python functions that a call runs."""
    if isinstance(func, UserDefinedFunction):
        return [method for method in vars(type(func)).values() if inspect.isfunction(method)]
    call = getattr(func, "__func__", func)
    if not inspect.isfunction(call):
        call = getattr(type(func), "__call__", None)  # noqa: B004 - the method is wanted
    return [call] if inspect.isfunction(call) else []
