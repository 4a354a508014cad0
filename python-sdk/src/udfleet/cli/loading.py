"""Functions named `module:attr` or `path/to/file.py:attr`."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidConfigError, InvalidDefinitionError, UdfleetError

if TYPE_CHECKING:
    from ..declaration import UserDefinedFunctionWrapper

_MARK = "UDFLEET_CLIENT_EXECUTABLE"
_MOST_FRAMES = 5
_OURS = str(Path(__file__).resolve().parent.parent)


def run_in(executable: str) -> None:
    """Goes on in another Python (`python.client.executable`), unless that is this one."""
    found = shutil.which(executable)
    if found is None:
        raise InvalidConfigError(f"python.client.executable: {executable!r} is not an executable")
    if os.environ.get(_MARK) == executable or os.path.realpath(found) == os.path.realpath(sys.executable):
        return
    environment = {**os.environ, _MARK: executable}
    os.execve(found, [found, "-m", "udfleet", *sys.argv[1:]], environment)  # noqa: S606


def load(name: str) -> tuple[str, UserDefinedFunctionWrapper]:
    """The declaration that `name` stands for, looked for in the working folder too, with the attribute's own name.

    Without `:attr` the module must declare exactly one function.
    """
    from ..declaration import UserDefinedFunctionWrapper

    module, _, attribute = name.partition(":")
    if not module:
        raise click.BadParameter(f"{name!r} is not of the form module:attr or file.py:attr")
    found: Any = _import(module)
    if not attribute:
        attribute = _only_declaration(found, module)
    for part in attribute.split("."):
        if not hasattr(found, part):
            declared = _declarations(found)
            hint = f"it declares {', '.join(declared)}" if declared else None
            raise InvalidDefinitionError(f"{module!r} has no attribute {attribute!r}", hint=hint)
        found = getattr(found, part)
    if not isinstance(found, UserDefinedFunctionWrapper):
        what = type(found).__name__
        raise InvalidDefinitionError(
            f"{name!r} is a {what}", hint="declare the function with udfleet.udf, udtf, udaf or udtaf"
        )
    return attribute.rpartition(".")[2], found


def _declarations(module: Any) -> list[str]:
    from ..declaration import UserDefinedFunctionWrapper

    return [name for name, value in vars(module).items() if isinstance(value, UserDefinedFunctionWrapper)]


def _only_declaration(module: Any, name: str) -> str:
    declared = _declarations(module)
    if len(declared) == 1:
        return declared[0]
    if not declared:
        raise InvalidDefinitionError(
            f"{name!r} declares no function", hint="declare one with udfleet.udf, udtf, udaf or udtaf"
        )
    raise InvalidDefinitionError(
        f"{name!r} declares {len(declared)} functions: {', '.join(declared)}", hint=f"say which: {name}:{declared[0]}"
    )


def _import(name: str) -> Any:
    """The module, by its name or by the path of its file.

    :raises InvalidDefinitionError: there is none, or its code failed; then with the lines at fault.
    """
    module = name
    folder = os.getcwd()
    if name.endswith(".py") or os.sep in name:
        module, folder = _of_file(Path(name))
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module.split(".")[0], module):
            raise _failed(name, error) from error
        raise InvalidDefinitionError(
            f"there is no module {module!r} here nor installed", hint="a file can be named too: path/to/file.py:attr"
        ) from error
    except UdfleetError as error:
        # An error of a declaration keeps its code; only its place is added.
        raise type(error)(f"{_place(error)}{error.message}", hint=error.hint) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _of_file(path: Path) -> tuple[str, str]:
    """The module's name and the folder that it is found from: of a package, the one that the package lies in."""
    if not path.is_file():
        raise InvalidDefinitionError(f"there is no file {str(path)!r}", hint="name it as path/to/file.py:attr")
    path = path.resolve()
    parts = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    if not all(part.isidentifier() for part in parts):
        raise InvalidDefinitionError(f"{path.name!r} can't be imported", hint="rename it: letters, digits and _ only")
    return ".".join(parts), str(folder)


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The user's own frames, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f for f in frames if "importlib" not in f.filename and not f.filename.startswith(_OURS)]


def _place(error: BaseException) -> str:
    frames = _frames(error)
    return f"{os.path.relpath(frames[-1].filename)}, line {frames[-1].lineno}: " if frames else ""


def _failed(name: str, error: BaseException) -> InvalidDefinitionError:
    last = traceback.format_exception_only(type(error), error)
    frames = traceback.format_list(_frames(error)[-_MOST_FRAMES:])
    said = "".join([*frames, *last]).rstrip()
    return InvalidDefinitionError(f"importing {name!r} failed: {last[-1].strip()}\n\n{said}")


def pairs(given: tuple[str, ...], what: str) -> Mapping[str, str]:
    """`k=v` options as a dict."""
    result = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals:
            raise click.BadParameter(f"{what} {item!r} is not of the form key=value")
        result[key] = text
    return result
