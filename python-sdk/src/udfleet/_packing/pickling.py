"""Functions as pickles: by reference where the fleet can import them, else by value."""

from __future__ import annotations

import functools
import io
import pickle
import sys
import threading
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import cloudpickle

from ..declaration import UserDefinedFunctionWrapper
from . import inner_imports, references
from .explain import explain
from .modules import local_modules
from .names import root_of, used_names
from .sources import Sources

# The newest protocol of the oldest Python that interpreters run on.
_PROTOCOL = 5

# cloudpickle's registry of modules to pickle by value is global.
_registry = threading.Lock()

_Cached = type(functools.lru_cache(len))
"""The class of functions under `functools.lru_cache`, which has no public name."""
_DISPATCHED = getattr(functools.singledispatch(len), "__code__")  # noqa: B009 - mypy takes it for another object
"""The code of functions under `functools.singledispatch`, which hold weak references."""
_UFUNC_MODULES = ("numpy", "scipy.special")


class Pickled(NamedTuple):
    """A payload."""

    data: bytes
    holds_bytecode: bool
    """Only the Python version that wrote it can load it."""
    source_files: dict[str, str]
    """The source lines of that bytecode, by file name."""
    imports: set[str]
    """Top-level modules that it imports when it runs."""


class _ByName:
    """Pickles as: the function behind the declaration of this name."""

    def __init__(self, module: str, qualname: str) -> None:
        self.name = (module, qualname)

    def __reduce__(self) -> tuple[Any, ...]:
        return (references.resolve_function, self.name)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Cloudpickle's, and what it does not know.

    :param local: top-level modules that travel by value.
    :param names: of such modules, only variables of these names; None: all.
    """

    def __init__(self, file: io.BytesIO, local: set[str], names: set[str] | None = None) -> None:
        super().__init__(file, protocol=_PROTOCOL)
        self.local = local
        self.names = names
        self.holds_bytecode = False
        self.sources = Sources()
        self.imports: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, CodeType):
            self.holds_bytecode = True
            return self._code(obj)
        if isinstance(obj, UserDefinedFunctionWrapper):
            if _importable(obj, self.local):
                return (references.resolve, (obj.__module__, obj.__qualname__))
        elif isinstance(obj, ModuleType):
            if obj.__name__.split(".")[0] in self.local:
                return self._module(obj)
        elif isinstance(obj, _Cached):
            if not self._can_be_imported(obj):
                # Filled after it is made: a recursive function refers to itself.
                limits = obj.cache_parameters()
                shape = (limits["maxsize"], limits["typed"])
                return (references.new_cached, shape, obj.__wrapped__, None, None, references.fill_wrapper)
        elif isinstance(obj, FunctionType) and obj.__code__ is _DISPATCHED:
            if not self._can_be_imported(obj):
                kinds: dict[type, Any] = dict(obj.registry)  # type: ignore[attr-defined]
                content = (kinds.pop(object), list(kinds.items()))
                return (references.new_dispatched, (), content, None, None, references.fill_dispatched)
        elif isinstance(obj, functools.cached_property):
            # Until Python 3.12 it holds a lock.
            return (functools.cached_property, (obj.func,), {"attrname": obj.attrname})
        elif isinstance(obj, BuiltinFunctionType):
            self._check_builtin(obj)
        elif _is_ufunc(obj):
            return _reduced_ufunc(obj)
        reduced = super().reducer_override(obj)
        if isinstance(obj, FunctionType) and reduced is not NotImplemented:
            self.sources.add(obj)
            self.imports |= inner_imports.of_function(obj)
        return reduced

    def _code(self, code: CodeType) -> Any:
        """Code under the name of its file: from version 3.1.3 on cloudpickle gives all code one name."""
        make, arguments = self.dispatch_table[CodeType](code)
        if code.co_filename in arguments:
            return (make, arguments)
        return (references.named_code, (make, arguments, code.co_filename))

    def _module(self, module: ModuleType) -> Any:
        """A module by value; filled after it is made: modules refer to each other."""
        dropped = ("__builtins__", "__spec__", "__loader__", "__cached__")
        variables = {name: value for name, value in vars(module).items() if name not in dropped}
        left_out: dict[str, str] = {}
        if self.names is not None:
            unused = [name for name in variables if name not in self.names and not name.startswith("__")]
            way_out = f"Environment(files=[{root_of(module)!r}]) brings the whole module"
            left_out = {name: way_out for name in unused if variables.pop(name, None) is not name}
        content = (variables, left_out)
        return (references.new_module, (module.__name__,), content, None, None, references.fill_module)

    def _check_builtin(self, obj: BuiltinFunctionType) -> None:
        """Refuses a function of an extension module that the fleet can't import: else it finds out there only."""
        module = str(obj.__module__)
        if module.split(".", maxsplit=1)[0] in self.local:
            raise pickle.PicklingError(f"it is compiled code of module {module!r}, which the fleet can't import")

    def _can_be_imported(self, obj: Any) -> bool:
        module = obj.__module__
        if module is None or module == "__main__" or module.split(".")[0] in self.local:
            return False
        try:
            return references.resolve(module, obj.__qualname__) is obj
        except (AttributeError, ImportError):
            return False


def _is_ufunc(obj: Any) -> bool:
    return type(obj).__name__ == "ufunc" and type(obj).__module__.split(".")[0] == "numpy"


def _reduced_ufunc(obj: Any) -> Any:
    """By a name that all versions of the package have; numpy itself takes any module that happens to have it."""
    name = str(obj.__name__)
    for module in _UFUNC_MODULES:
        if getattr(sys.modules.get(module), name, None) is obj:
            return (references.resolve, (module, name))
    raise pickle.PicklingError(f"the ufunc {name!r} is neither in numpy nor in scipy.special")


def _find(wrapper: UserDefinedFunctionWrapper, local: set[str]) -> Any:
    """What the fleet finds by the declaration's name; None: nothing."""
    module = wrapper.__module__
    if module == "__main__" or module.split(".")[0] in local or module not in sys.modules:
        return None
    try:
        return references.resolve(module, wrapper.__qualname__)
    except (AttributeError, ImportError):
        return None


def _importable(wrapper: UserDefinedFunctionWrapper, local: set[str]) -> bool:
    """Whether the fleet finds this very declaration by its name."""
    return _find(wrapper, local) is wrapper


def _known_by_name(wrapper: UserDefinedFunctionWrapper, local: set[str]) -> bool:
    """Whether the fleet finds its function by that name, perhaps behind another declaration of it."""
    found = _find(wrapper, local)
    return isinstance(found, UserDefinedFunctionWrapper) and found.func is wrapper.func


def _dump(obj: Any, local: set[str], names: set[str] | None = None) -> Pickled:
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, local, names)
    pickler.dump(obj)
    return Pickled(buffer.getvalue(), pickler.holds_bytecode, pickler.sources.texts(), pickler.imports)


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
            return _pickled(wrapper, local)
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)


def _pickled(wrapper: UserDefinedFunctionWrapper, local: set[str]) -> Pickled:
    payload = wrapper.func
    if _known_by_name(wrapper, local):
        payload = _ByName(wrapper.__module__, wrapper.__qualname__)
    try:
        return _dump(payload, local)
    except Exception:  # what users write may raise anything; explained below
        names = used_names(wrapper.func, local)

    def failure(value: Any) -> Exception | None:
        try:
            _dump(value, local, names)
        except Exception as error:
            return error
        return None

    # Perhaps what can't travel is a variable of a module that the function does not use.
    try:
        return _dump(payload, local, names)
    except Exception as error:
        raise explain(wrapper, error, failure, local) from error
