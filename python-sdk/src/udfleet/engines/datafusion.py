"""DataFusion for Python: a registered function in SQL and in expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ._function import EngineFunction

if TYPE_CHECKING:
    import datafusion

    from .._client.fleet import Fleet


def register(
    context: datafusion.SessionContext,
    fleet: Fleet,
    name: str,
    *,
    alias: str | None = None,
    on_error: str | None = None,
) -> datafusion.ScalarUDF:
    """Makes a registered scalar function a function of SQL in this context.

    A function that was registered there under the same name is replaced.

    :param name: `name`, its newest version as of now, or `name@version`.
    :param alias: its name in SQL; the function's own by default.
    :param on_error: what becomes of rows that it raises for: `fail` or `null`; None: as it was registered.
    :return: the function for DataFusion's expressions: `frame.select(f(col("a")))`.
    :raises InvalidDefinitionError: it is no scalar function.
    """
    import datafusion

    function = EngineFunction(fleet, name, "DataFusion", on_error)
    function.check_arguments_tell_rows()

    def call(*columns: pa.Array) -> pa.Array:
        return function(columns, rows=1).combine_chunks()

    volatility = "immutable" if function.deterministic else "volatile"
    made = datafusion.udf(call, function.inputs, function.result, volatility, alias or function.name)
    context.register_udf(made)
    return made
