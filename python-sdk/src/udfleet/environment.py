"""`Environment`: Python and what is installed or laid beside it."""

from __future__ import annotations

import os

from . import _secret_names
from .errors import InvalidDefinitionError
from .requirements import requirement_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .requirements import PathLike


def refuse_both(variables: Iterable[str], secrets: Iterable[str]) -> None:
    """Refuses a name of both: one of the two values would be lost."""
    both = _secret_names.in_both(variables, secrets)
    if both:
        raise InvalidDefinitionError(both, hint="rename one of them, or leave it out")


class Environment:
    """Python and packages of a function. Same content, same environment: built once per node.

    :param python: a version (`"3.11"`), a path or a command on the executors; None: this client's version where the
        function's bytecode travels, else the executor's default.
    :param requirements: lines of a requirements file, or the path of one; `-r` and `-c` files are brought along.
    :param requirements_cache: a folder of packages; with it the install is offline.
    :param files: .py, .zip, .whl files and folders, put on the interpreter's path.
    :param archives: archives or folders, unpacked under the working folder: `{target: path}` or a list of paths.
    :param env: variables of its interpreters. Everybody sees them in the fleet: no place for secrets.
    :param secrets: names of secrets, which the executors have as files; its interpreters, and no others, see each as a
        variable and as a file of that name in the folder `UDFLEET_SECRETS_DIR`.
    :raises InvalidDefinitionError: for a requirement that only this machine has, such as `./x.whl` or `-e .`; for a
        name that is both a variable and a secret.
    """

    __slots__ = ("archives", "env", "files", "python", "requirements", "requirements_cache", "secrets")

    def __init__(
        self,
        python: str | None = None,
        requirements: Sequence[str] | PathLike = (),
        requirements_cache: PathLike | None = None,
        files: Sequence[PathLike] = (),
        archives: Mapping[str, PathLike] | Sequence[PathLike] = (),
        env: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        if isinstance(files, (str, os.PathLike)) or isinstance(archives, (str, os.PathLike)):
            raise TypeError("files and archives take a list of paths")
        if isinstance(secrets, str):
            raise TypeError("secrets takes a list of names")
        self.env = {str(name): str(value) for name, value in (env or {}).items()}
        self.secrets = [str(name) for name in secrets]
        refuse_both(self.env, self.secrets)
        self.python = python
        self.requirements = requirement_lines(requirements)
        self.requirements_cache = None if requirements_cache is None else os.fspath(requirements_cache)
        self.files = [os.fspath(path) for path in files]
        if hasattr(archives, "items"):
            self.archives = {str(target): os.fspath(path) for target, path in archives.items()}
        else:
            self.archives = {base_name(path): os.fspath(path) for path in archives}

    def with_config(self, config: Mapping[str, str]) -> Environment:
        """A copy with what the `python.*` keys add; what is set here wins over the keys."""
        merged = Environment(
            self.python,
            self.requirements,
            self.requirements_cache,
            self.files,
            self.archives,
            self.env,
            self.secrets,
        )
        if merged.python is None and config.get("python.executable"):
            merged.python = config["python.executable"]
        # PyFlink puts each in front of those before it: of two modules of one name it finds the last.
        merged.files += [path for path in _items(config, "python.files")[::-1] if path not in merged.files]
        for item in _items(config, "python.archives"):
            path, _, target = item.partition("#")
            merged.archives.setdefault(target or base_name(path), path)
        if config.get("python.requirements") and not merged.requirements:
            path, _, cache = config["python.requirements"].partition("#")
            merged.requirements = requirement_lines(os.fspath(path), is_path=True)
            merged.requirements_cache = merged.requirements_cache or cache or None
        return merged

    def __repr__(self) -> str:
        shown = [f"{name}={_first(value)}" for name in self.__slots__[::-1] if (value := getattr(self, name))]
        return f"Environment({', '.join(shown)})"


def _first(value: object) -> str:
    """A `repr`, of long lists their first items."""
    if isinstance(value, list) and len(value) > _SHOWN:
        return f"[{', '.join(map(repr, value[:_SHOWN]))}, ... {len(value) - _SHOWN} more]"
    return repr(value)


_SHOWN = 10
"""How many lines, files or archives a `repr` shows."""

CONFIG_KEYS = frozenset({"python.executable", "python.files", "python.archives", "python.requirements"})
"""Keys that become part of a definition's environment, not of its config."""


def base_name(path: PathLike) -> str:
    """The last part of a path, also of a folder written with a final slash."""
    return os.path.basename(os.path.normpath(os.fspath(path)))


def _items(config: Mapping[str, str], key: str) -> list[str]:
    return [item.strip() for item in config.get(key, "").split(",") if item.strip()]
