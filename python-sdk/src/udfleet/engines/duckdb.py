"""DuckDB: a registered function in SQL."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from ._function import EngineFunction

if TYPE_CHECKING:
    import duckdb

    from .._client.fleet import Fleet


def register(
    connection: duckdb.DuckDBPyConnection,
    fleet: Fleet,
    name: str,
    *,
    alias: str | None = None,
    on_error: str | None = None,
) -> None:
    """Makes a registered scalar function a function of SQL on this connection.

    A function that Python registered there under the same name is replaced.

    :param name: `name`, its newest version as of now, or `name@version`.
    :param alias: its name in SQL; the function's own by default.
    :param on_error: what becomes of rows that it raises for: `fail` or `null`; None: as it was registered.
    :raises InvalidDefinitionError: it is no scalar function, or has a type that DuckDB lacks.
    """
    import duckdb

    function = EngineFunction(fleet, name, "DuckDB", on_error)
    function.check_arguments_tell_rows()
    function.refuse_types("NULL")
    empty = connection.from_arrow(pa.schema([*function.inputs, function.result]).empty_table())
    function.check(empty.to_arrow_table().schema.types[:-1])
    *inputs, result = empty.types
    sql_name = alias or function.name
    with contextlib.suppress(duckdb.InvalidInputException):
        connection.remove_function(sql_name)
    connection.create_function(
        sql_name,
        _callback(function),
        inputs,
        result,
        type="arrow",
        # The function sees nulls; by default DuckDB would keep them from it.
        null_handling="special",
        side_effects=not function.deterministic,
    )


def _callback(function: EngineFunction) -> Callable[..., pa.ChunkedArray]:
    def call(*columns: pa.ChunkedArray) -> pa.ChunkedArray:
        return function(columns, rows=1)

    # DuckDB counts the parameters.
    kind = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(field.name, kind) for field in function.inputs]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call
