"""Lines of requirements files: files that they name on this machine are read, or refused, before anything is sent."""

from __future__ import annotations

import os

from .errors import InvalidDefinitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Union

    PathLike = Union[str, os.PathLike[str]]

_INCLUDE = ("-r", "--requirement")
_CONSTRAINT = ("-c", "--constraint")
_EDITABLE = ("-e", "--editable")
_LOCATIONS = ("-f", "--find-links", "-i", "--index-url", "--extra-index-url")
_PACKAGES = (".whl", ".tar.gz", ".tar.bz2", ".tgz", ".zip")


def requirement_lines(given: Sequence[str] | PathLike, is_path: bool = False) -> list[str]:
    """The lines of a requirements file, or of a list of them.

    `-r` lines are read in place, `-c` lines get absolute paths.

    :raises InvalidDefinitionError: for a line that means a file or folder of this machine, which executors lack.
    """
    if not isinstance(given, (str, os.PathLike)):
        return _Reader().lines(((str(line), f"line {number}") for number, line in enumerate(given, 1)), "")
    path = os.fspath(given)
    if not os.path.isfile(path):
        what = "requirements file" if is_path else "requirements take a list of lines or the path of a file;"
        raise InvalidDefinitionError(f"{what} {path!r} does not exist")
    return _Reader().file(path)


def split_constraints(lines: list[str]) -> tuple[list[str], list[str]]:
    """Requirements, and the constraints of the files that their `-c` lines name and that lie on this machine."""
    requirements: list[str] = []
    constraints: list[str] = []
    for line in lines:
        option, value = _option(line)
        if option in _CONSTRAINT and os.path.isfile(value):
            constraints += [text for text, _ in _numbered(value) if _option(text)[0] not in _CONSTRAINT]
        else:
            requirements.append(line)
    return requirements, constraints


class _Reader:
    def __init__(self) -> None:
        self.open: list[str] = []

    def file(self, path: str) -> list[str]:
        """The lines of a file; files that include each other are read once."""
        real = os.path.realpath(path)
        if real in self.open:
            return []
        self.open.append(real)
        found = self.lines(_numbered(path), os.path.dirname(path))
        self.open.pop()
        return found

    def lines(self, given: Iterable[tuple[str, str]], folder: str) -> list[str]:
        """Lines with what they name here made absolute.

        :param given: lines, and where each stands.
        :param folder: what relative paths are relative to.
        """
        found: list[str] = []
        for line, where in given:
            option, value = _option(line)
            if option in _INCLUDE and _is_local(value):
                found += self.file(_existing(value, folder, "requirements file", where))
            elif option in _CONSTRAINT and _is_local(value):
                found.append(f"-c {os.path.abspath(_existing(value, folder, 'constraints file', where))}")
            else:
                _check(line, option, value, where)
                found.append(line.strip())
        return found


def _numbered(path: str) -> list[tuple[str, str]]:
    """The lines that mean something, with continued ones joined; and where each stands."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise InvalidDefinitionError(f"requirements file {path!r} is not UTF-8: {error}") from None
    found, first, parts = [], 0, []
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        parts.append(line[:-1] if line.endswith("\\") else line)
        if line.endswith("\\"):
            continue
        joined = " ".join(part.strip() for part in parts).strip()
        if joined and not joined.startswith("#"):
            found.append((joined, f"line {first} of {path!r}"))
        first, parts = 0, []
    return found


def _option(line: str) -> tuple[str, str]:
    """An option of a line and its value: of `-rx.txt`, `-r x.txt`, `--requirement=x.txt`. ("", line): it is none."""
    line = line.split(" #", 1)[0].strip()
    if not line.startswith("-"):
        return "", line
    if line.startswith("--"):
        name, _, value = line.replace("=", " ", 1).partition(" ")
        return name, value.strip()
    return line[:2], line[2:].lstrip(" =")


def _is_local(value: str) -> bool:
    return "://" not in value and "${" not in value


def _existing(value: str, folder: str, what: str, where: str) -> str:
    path = os.path.join(folder, value)
    if not os.path.isfile(path):
        raise InvalidDefinitionError(f"requirements, {where}: {what} {path!r} does not exist")
    return path


def _check(line: str, option: str, value: str, where: str) -> None:
    """Refuses a line that names a relative path; absolute ones are the executors'."""
    if option in _EDITABLE and _is_local(value):
        hint = f"bring the folder of its modules with Environment(files=[{value!r}]), or name a released version"
    elif option in _LOCATIONS and _is_local(value) and not os.path.isabs(value):
        hint = f"Environment(requirements_cache={value!r}) brings a folder of packages to install from"
    elif not option and _is_relative_package(value):
        hint = (
            "bring a folder of packages with Environment(requirements_cache=...), or the wheel alone with files=[...]"
        )
    else:
        return
    raise InvalidDefinitionError(
        f"requirements, {where}: {line.strip()!r} means something on this machine, which executors lack", hint=hint
    )


def _is_relative_package(line: str) -> bool:
    target = line.partition(";")[0].strip()
    if " @ " in target:
        target = target.partition(" @ ")[2].strip()
        if target.startswith("file:") and not target.startswith("file:/"):
            return True
    if not _is_local(target) or os.path.isabs(target) or target.startswith("file:/"):
        return False
    path = target.partition("[")[0].strip()
    return path in (".", "..") or path.startswith(("./", "../")) or "/" in path or path.lower().endswith(_PACKAGES)
