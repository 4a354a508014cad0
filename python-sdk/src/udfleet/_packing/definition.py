"""The definition of a function: what a registration says about it."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .._convert.misfit import shown
from .._proto.udfleet.v1 import function_pb2
from .._secret_names import is_name
from ..declaration import UserDefinedFunctionWrapper
from ..environment import CONFIG_KEYS, Environment, base_name, refuse_both
from ..errors import InvalidDefinitionError, InvalidInputError
from ..requirements import split_constraints
from ..types.wire import accumulator_to_proto, to_proto
from . import inner_imports
from .archive import printable
from .modules import modules_in, provided_by
from .pickling import Pickled, pickle_function
from .pyflink_options import translated
from .shipment import Shipment, pickle_support

_MAX_TEXT = 64 << 10
_CLIENT_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_TAKEN = sys.stdlib_module_names | {"cloudpickle", "udfleet"}
DEFAULT_PARTITIONS = 16
"""Into how many partitions the keys of a function with state fall."""
ON_ERROR = ("fail", "null", "skip")
_IMPLICIT = {"general": (), "pandas": ("pandas", "pyarrow"), "arrow": ("pyarrow",)}


def build(
    name: str,
    wrapper: UserDefinedFunctionWrapper,
    environment: Environment,
    config: Mapping[str, Any],
    job_parameters: Mapping[str, Any],
    job: str,
    shipment: Shipment,
    on_error: str | None = None,
    labels: Mapping[str, str] | None = None,
    resources: Mapping[str, int] | None = None,
    secrets: Sequence[str] = (),
    partitions: int | None = None,
) -> function_pb2.FunctionDefinition:
    """Packs a declared function; its artifacts go into the shipment."""
    settings = translated({key: config_text(value) for key, value in config.items()})
    environment = environment.with_config(settings)
    refuse_both(environment.env, secrets)
    pickled, modules = _pickled(wrapper, environment)
    python = environment.python or (_CLIENT_PYTHON if pickled.holds_bytecode else "")
    definition = function_pb2.FunctionDefinition(
        name=name,
        language=function_pb2.Language.PYTHON,
        kind=wrapper.kind.upper(),
        func_type=wrapper.func_type.upper(),
        input_typed=wrapper.input_types is not None,
        result_type=to_proto(wrapper.result_type),
        deterministic=wrapper.deterministic,
        payload=shipment.add_bytes("payload.pickle", pickled.data),
        pickle_support=shipment.add_bytes("cloudpickle.zip", pickle_support()),
        payload_python=_CLIENT_PYTHON if pickled.holds_bytecode else "",
        environment=_environment(environment, modules, python, wrapper.func_type, shipment),
        config={key: value for key, value in settings.items() if key not in CONFIG_KEYS},
        job_parameters={str(key): str(value) for key, value in job_parameters.items()},
        job=job,
        source_files={_encodable(name): _encodable(text) for name, text in pickled.source_files.items()},
        source=_encodable(_source(wrapper.func))[:_MAX_TEXT],
        doc=_encodable(inspect.getdoc(wrapper.func) or "")[:_MAX_TEXT] if _has_own_doc(wrapper.func) else "",
        on_error=on_error_value(on_error),
        asynchronous=wrapper.asynchronous,
        merges=wrapper.merges,
        labels=label_texts(labels),
        resources=device_counts(resources),
        variables=environment.env,
        secrets=secret_names([*environment.secrets, *secrets]),
    )
    if wrapper.keyed:
        definition.keyed.partitions = DEFAULT_PARTITIONS if partitions is None else partitions
    elif partitions is not None:
        raise InvalidDefinitionError(
            "partitions are for functions that keep state", hint="declare it with keyed_process()"
        )
    if wrapper.accumulator_type is not None:
        definition.accumulator_type.CopyFrom(accumulator_to_proto(wrapper.accumulator_type))
    definition.input_types.extend(to_proto(input_type) for input_type in wrapper.input_types or ())
    return definition


def _pickled(wrapper: UserDefinedFunctionWrapper, environment: Environment) -> tuple[Pickled, dict[str, str]]:
    """The payload, and where the modules lie that it imports when it runs and the fleet would not have."""
    covered = provided_by(environment.files)
    installed = {_project(line).replace("-", "_") for line in environment.requirements}
    modules: dict[str, str] = {}
    while True:
        pickled = pickle_function(wrapper, covered | modules.keys())
        missing = inner_imports.find(pickled.imports, covered | installed | modules.keys())
        if not missing:
            return pickled, modules
        modules |= missing


def label_texts(labels: Mapping[str, str] | None) -> dict[str, str]:
    """What executors' labels must be."""
    for label, value in (labels or {}).items():
        if not isinstance(label, str) or not isinstance(value, str) or not label:
            raise InvalidInputError(f"labels are texts, not {shown({label: value})}", hint='labels={"zone": "a"}')
    return dict(labels or {})


def secret_names(secrets: Sequence[str]) -> list[str]:
    """Each once, in order."""
    if not all(map(is_name, secrets)):
        raise InvalidInputError(
            f"secrets are names such as those of variables, not {shown(list(secrets))}", hint='secrets=["API_KEY"]'
        )
    return sorted(set(secrets))


def device_counts(resources: Mapping[str, int] | None) -> dict[str, int]:
    """How many devices of each kind an interpreter has for itself."""
    for kind, count in (resources or {}).items():
        whole = isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= 1024
        if not isinstance(kind, str) or not kind or not whole:
            raise InvalidInputError(
                f"resources are whole numbers of devices from 1 to 1024, not {shown({kind: count})}",
                hint='resources={"gpu": 1}',
            )
    return dict(resources or {})


def on_error_value(on_error: str | None) -> function_pb2.OnError:
    """`fail`, `null` or `skip` as the fleet reads it; None: as the function, or the fleet, has it."""
    if on_error is None:
        return function_pb2.OnError.ON_ERROR_UNSPECIFIED
    if not isinstance(on_error, str) or on_error not in ON_ERROR:
        raise InvalidInputError(
            f"on_error must be one of {', '.join(ON_ERROR)}, not {shown(on_error)}", hint="on_error='null'"
        )
    return getattr(function_pb2.OnError, f"ON_ERROR_{on_error.upper()}")  # type: ignore[no-any-return]


def _environment(
    environment: Environment, modules: dict[str, str], python: str, func_type: str, shipment: Shipment
) -> function_pb2.Environment:
    requirements, constraints = split_constraints(environment.requirements)
    requirements += implicit_requirements(requirements, func_type, python)
    message = function_pb2.Environment(python=python, requirements=requirements, constraints=constraints)
    if environment.requirements_cache is not None:
        cache = environment.requirements_cache
        message.requirements_cache.CopyFrom(shipment.add_path(base_name(cache), cache))
    for path in environment.files:
        name = base_name(path)
        message.files.append(shipment.add_path(name if _is_code_file(path) else f"{name}.tar", path))
        _refuse_shadows(path)
    for module, path in sorted(modules.items()):
        add = shipment.add_package if os.path.isdir(path) else shipment.add_path
        message.files.append(add(f"{module}.tar" if os.path.isdir(path) else f"{module}.py", path))
    for target, path in environment.archives.items():
        message.archives.append(shipment.add_path(target, path))
    return message


def _is_code_file(path: str) -> bool:
    if os.path.isdir(path):
        return False
    if not path.endswith((".py", ".zip", ".whl", ".egg")):
        raise InvalidDefinitionError(
            f"{printable(path)} can't be put on the interpreter's path: .py, .zip, .whl and folders can",
            hint="other files travel in archives",
        )
    return True


def _refuse_shadows(path: str) -> None:
    """Refuses modules in whose place Python's own would be found, or the other way round."""
    taken = sorted(modules_in(path) & _TAKEN)
    if taken:
        names = ", ".join(map(repr, taken))
        raise InvalidDefinitionError(
            f"files: {printable(path)} brings the module {names}, a name that Python's own library or udfleet has",
            hint="rename it, or put it into a package",
        )


def _project(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    return re.sub(r"[-_.]+", "-", match.group()).lower() if match else ""


def implicit_requirements(requirements: list[str], func_type: str, python: str) -> list[str]:
    """What pandas and arrow functions need beside what they name: in this client's version where its Python is used."""
    named = {_project(line) for line in requirements}
    return [_pinned(package, python) for package in _IMPLICIT[func_type] if package not in named]


def _pinned(package: str, python: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    if not re.fullmatch(re.escape(_CLIENT_PYTHON) + r"(\.\d+)?", python):
        return package
    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:
        return package


def config_text(value: Any) -> str:
    """A config value as the fleet reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encodable(text: str) -> str:
    """A text without lone surrogates, as file names that are not UTF-8 have them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _has_own_doc(func: Any) -> bool:
    return inspect.isroutine(func) or isinstance(func, type) or "__doc__" in vars(type(func))


def _source(func: Any) -> str:
    """File, line and text of the definition, where Python knows them."""
    target = func.func if isinstance(func, functools.partial) else func
    target = target if inspect.isroutine(target) or isinstance(target, type) else type(target)
    try:
        lines, start = inspect.getsourcelines(target)
        return f"# {inspect.getsourcefile(target)}:{start}\n{''.join(lines)}"
    except (OSError, TypeError):
        return ""
