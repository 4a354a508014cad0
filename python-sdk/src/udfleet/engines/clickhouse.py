"""ClickHouse: registered functions as executable user-defined functions of a server, or of chdb."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .._address import joined
from .._local import binaries
from ..errors import InvalidConfigError
from ._clickhouse_types import clickhouse_type, has_nulls
from ._function import EngineFunction

if TYPE_CHECKING:
    from .._client.fleet import Fleet
    from ..types import DataType

CONFIG = "udf_config.xml"
"""What chdb reads."""
TOKEN = "udfleet.token"  # noqa: S105 - the name of a file
_BRIDGE = binaries.CLICKHOUSE_BRIDGE


def configure(
    fleet: Fleet,
    folder: str | os.PathLike[str],
    *names: str,
    pool: int = 0,
    prefix: str = "",
    on_error: str | None = None,
    timeout: float = 600.0,
) -> list[str]:
    """Writes a folder that makes registered scalar functions functions of ClickHouse's SQL.

    It holds `udf_config.xml`, the program that ClickHouse starts, and the fleet's token where it has one. What was
    configured there before is replaced.

    :param names: `name`, its newest version as of now, or `name@version`.
    :param pool: how many processes ClickHouse keeps for each function; 0: it starts one for each block of rows.
    :param prefix: put in front of the names in SQL: ClickHouse has functions of its own.
    :param on_error: what becomes of rows that a function raises for: `fail` or `null`; None: as it was registered.
    :param timeout: seconds for which ClickHouse waits for a block's results.
    :returns: the functions as SQL declares them.
    :raises InvalidDefinitionError: ClickHouse can't call one of them.
    """
    target = Path(folder)
    functions = [_Declared(EngineFunction(fleet, name, "ClickHouse", on_error), prefix) for name in names]
    _refuse_twice(functions)
    program = binaries.find_program(_BRIDGE)
    command = [_BRIDGE, "--address", joined(fleet.coordinators)]
    command += ["--token-file", TOKEN] if fleet._rpc.token else []
    certificates = _certificates(fleet)
    command += [part for flag, name, _ in certificates for part in (flag, name)]
    command += ["--on-error", on_error] if on_error else []
    root = ElementTree.Element("functions")
    for function in functions:
        function.write(root, command, pool, timeout)
    ElementTree.indent(root)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _link(program, target / _BRIDGE)
        if fleet._rpc.token:
            _write(target / TOKEN, fleet._rpc.token + "\n", 0o600)
        for _, name, text in certificates:
            _write(target / name, text, 0o600)
        _write(target / CONFIG, ElementTree.tostring(root, encoding="unicode") + "\n", 0o644)
    except OSError as error:
        raise InvalidConfigError(f"{target} can't be written: {error}", hint="name another folder") from error
    return [function.signature for function in functions]


def _certificates(fleet: Fleet) -> list[tuple[str, str, str]]:
    """The option, the file beside the program and its text, of each file that the connection takes."""
    tls = fleet._rpc.tls
    if tls is None:
        return []
    ca, cert, key = tls.read()
    if ca is None:
        raise InvalidConfigError("ClickHouse's program needs the fleet's CA", hint="connect with tls_ca=...")
    named = [("--tls-ca", "udfleet-ca.crt", ca), ("--tls-cert", "udfleet.crt", cert), ("--tls-key", "udfleet.key", key)]
    return [(flag, name, text.decode("ascii", "replace")) for flag, name, text in named if text is not None]


class _Declared:
    """A function as ClickHouse declares it."""

    def __init__(self, function: EngineFunction, prefix: str) -> None:
        self.function = function
        self.name = prefix + function.name
        function.refuse_types("INTERVAL_YEAR_MONTH")
        if not (self.name.isascii() and self.name.isidentifier()):
            raise function.refused(f"{self.name!r} is no name in its SQL", "register it under a name like my_function")
        if not function.input_types:
            raise function.refused(
                "it does not say for how many rows a function without arguments is called",
                "declare the function with an argument that it ignores",
            )
        self.arguments = [clickhouse_type(declared) for declared in function.input_types]
        self.result = clickhouse_type(_result(function))

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.arguments)}) -> {self.result}"

    def write(self, root: ElementTree.Element, command: list[str], pool: int, timeout: float) -> None:
        element = ElementTree.SubElement(root, "function")

        def put(key: str, value: object, parent: ElementTree.Element = element) -> None:
            ElementTree.SubElement(parent, key).text = str(value)

        put("type", "executable_pool" if pool else "executable")
        put("name", self.name)
        for number, declared in enumerate(self.arguments, 1):
            argument = ElementTree.SubElement(element, "argument")
            put("type", declared, argument)
            put("name", f"arg{number}", argument)
        put("return_type", self.result)
        put("return_name", "result")
        put("format", "ArrowStream")
        # The types are those of this version: a later one may have others.
        words = [*command, "--function", self.function.reference, *(["--chunk-header"] if pool else [])]
        put("command", " ".join(words))
        put("execute_direct", 1)
        put("deterministic", int(self.function.deterministic))
        put("stderr_reaction", "throw")
        put("command_read_timeout", round(timeout * 1000))
        put("command_write_timeout", round(timeout * 1000))
        if pool:
            put("send_chunk_header", 1)
            put("pool_size", pool)
            put("max_command_execution_time", max(1, round(timeout)))


def _result(function: EngineFunction) -> DataType:
    """A row that fails becomes null, whatever is declared."""
    if function.on_error == "fail":
        return function.result_type
    if not has_nulls(function.result_type):
        raise function.refused(
            f"rows that fail would be null (on_error='null'), and it has no nulls of {function.result_type}",
            "pass on_error='fail' here, or catch what the function raises and return a value",
        )
    return function.result_type.nullable()


def _refuse_twice(functions: list[_Declared]) -> None:
    for index, function in enumerate(functions):
        earlier = next((other for other in functions[:index] if other.name == function.name), None)
        if earlier is not None:
            raise function.function.refused(
                f"{earlier.function.reference} would have the same name in SQL", "write them into two folders"
            )


def _link(program: Path, place: Path) -> None:
    """The program itself, not a symbolic link: ClickHouse looks for it in its folder, and it for its token."""
    with _replacing(place) as made:
        try:
            os.link(program, made)
        except OSError:
            shutil.copy2(program, made)


def _write(place: Path, text: str, mode: int) -> None:
    with _replacing(place) as made:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)


@contextlib.contextmanager
def _replacing(place: Path) -> Iterator[Path]:
    """A path to make a file at, which then takes the place of another at once: ClickHouse may be reading that."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".udfleet-") as folder:
        made = Path(folder) / place.name
        yield made
        made.replace(place)
