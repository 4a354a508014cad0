"""What a `PYTHON_UDF_CONFIG` says, ready to be registered."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..declaration import UserDefinedFunctionWrapper
from ..environment import CONFIG_KEYS, Environment
from ..errors import InvalidDefinitionError
from .importing import STAND_IN, import_source, importable
from .requirements import without_flink
from .settings import checked, read_settings
from .sources import Source, read, top_level_names

if TYPE_CHECKING:
    from .._client.fleet import Fleet
    from .._client.views import FunctionView


@dataclass(frozen=True)
class DaggerFunction:
    """A function that Dagger would register."""

    name: str
    """As its file is named."""
    function: UserDefinedFunctionWrapper
    file: str


@dataclass(frozen=True)
class DaggerJob:
    """The functions of a configuration, and what they run in."""

    functions: list[DaggerFunction]
    environment: Environment
    config: Mapping[str, str]
    """udfleet's keys, but those that the environment tells."""
    notes: list[str] = field(default_factory=list)
    """What is done otherwise than in Dagger, for people."""

    def register(
        self,
        fleet: Fleet,
        config: Mapping[str, Any] | None = None,
        on_view: Callable[[FunctionView], None] | None = None,
        **options: Any,
    ) -> list[FunctionView]:
        """Registers all functions, one after the other; those before one that fails stay registered.

        :param config: configuration keys that win over Dagger's.
        :param on_view: gets each function as soon as it can be called.
        :param options: `timeout`, `on_event` and `on_error`, as `Fleet.register_function` takes them.
        """
        settings = {**self.config, **(config or {})}
        views = []
        for each in self.functions:
            view = fleet.register_function(each.name, each.function, self.environment, settings, **options)
            if on_view is not None:
                on_view(view)
            views.append(view)
        return views


def load(config: str | os.PathLike[str] | Mapping[str, Any]) -> DaggerJob:
    """Reads a configuration and imports its functions. Paths in it are relative to the working folder, as in Dagger.

    :param config: the path of a file with `PYTHON_UDF_CONFIG`'s JSON, or what that holds.
    :raises InvalidConfigError: for unknown keys and for values that can't be meant.
    :raises InvalidDefinitionError: for files without the function that their name promises.
    """
    settings = checked(config) if isinstance(config, Mapping) else read_settings(config)
    given = Environment().with_config(settings)
    notes: list[str] = []
    # As they are written: on the path the last comes first.
    sources = read(given.files[::-1])
    functions = list(_functions(sources, notes))
    if not functions:
        raise InvalidDefinitionError(f"PYTHON_FILES: no function is in {settings['python.files']}")
    _refuse_equal_names(functions)
    requirements = without_flink(given.requirements, notes)
    files = given.files + ([STAND_IN] if any(b"pyflink" in source.text for source in sources) else [])
    environment = Environment(
        given.python, requirements, given.requirements_cache, files, given.archives, given.env, given.secrets
    )
    rest = {key: value for key, value in settings.items() if key not in CONFIG_KEYS}
    return DaggerJob(functions, environment, rest, notes)


def _functions(sources: list[Source], notes: list[str]) -> Iterator[DaggerFunction]:
    wanted = []
    for source in sources:
        if source.is_package or source.function == "__init__":
            continue
        names = top_level_names(source)
        if source.function in names:
            wanted.append(source)
        elif source.listed:
            near = difflib.get_close_matches(source.function, names, 1)
            hint = f"it has {near[0]!r}" if near else "a function is named as its file is"
            raise InvalidDefinitionError(f"{source.file!r} has nothing named {source.function!r}", hint=hint)
        else:
            notes.append(f"{source.file}: has nothing named {source.function!r}, can be imported only")
    with importable(sources):
        for source in wanted:
            yield DaggerFunction(source.function, _declared(source), source.file)


def _declared(source: Source) -> UserDefinedFunctionWrapper:
    found = getattr(import_source(source), source.function, None)
    if not isinstance(found, UserDefinedFunctionWrapper):
        raise InvalidDefinitionError(
            f"{source.function!r} in {source.file!r} is a {type(found).__name__}",
            hint="declare it with udf, udtf, udaf or udtaf",
        )
    return found


def _refuse_equal_names(functions: list[DaggerFunction]) -> None:
    """Dagger's SQL has all names in upper case."""
    seen: dict[str, DaggerFunction] = {}
    for each in functions:
        other = seen.setdefault(each.name.upper(), each)
        if other is not each:
            raise InvalidDefinitionError(
                f"{other.file!r} and {each.file!r} are both function {each.name.upper()} in Dagger's SQL",
                hint="rename one of them",
            )
