"""PyFlink: a registered function in SQL and in the Table API.

Needs apache-flink and its pyarrow only, here and where Flink's Python workers run: udfleet installed without its
dependencies is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyarrow import flight
from pyflink.table.types import DataType, LocalZonedTimestampType, from_arrow_type
from pyflink.table.udf import ScalarFunction, UserDefinedScalarFunctionWrapper, udf

from .._tls import choose
from ..errors import InvalidDefinitionError, InvalidInputError
from ._flight_function import FlightFunction

if TYPE_CHECKING:
    from pyflink.table import TableEnvironment

_INPUT_COUNT = b"x-databend-udf-input-count"
_KIND = b"x-udfleet-kind"
_EXACT = 1 << 53
"""Doubles hold all integers below it."""
_PRECISIONS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def register(
    table_env: TableEnvironment,
    address: str,
    name: str,
    *,
    alias: str | None = None,
    token: str | None = None,
    deterministic: bool = True,
    direct: bool = True,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
) -> UserDefinedScalarFunctionWrapper:
    """Makes a registered scalar function a function of SQL and of the Table API.

    :param address: `host:port` of the coordinator, as Flink's workers see it too; of several with commas between them,
        and workers use one that answers.
    :param name: `name`, its newest version as of now, or `name@version`.
    :param alias: its name in Flink; the function's own by default.
    :param token: the fleet's token, which becomes part of the job; None: the variable UDFLEET_TOKEN, here and in
        each worker.
    :param deterministic: False keeps Flink from calling it once for equal calls, and a batch that may have run from
        being sent again.
    :param direct: False sends all batches through the coordinator.
    :param tls_ca: file with the fleet's CA, which becomes part of the job; None: the variable UDFLEET_TLS_CA.
    :param tls_cert: file with a certificate to show, on each worker too; None: the variable UDFLEET_TLS_CERT.
    :param tls_key: file with its key; None: the variable UDFLEET_TLS_KEY.
    :return: what `function` returns.
    :raises InvalidDefinitionError: Flink can't call it.
    :raises UdfleetError: the address or the token is wrong, or there is no such function.
    """
    made = function(
        address,
        name,
        token=token,
        deterministic=deterministic,
        direct=direct,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    table_env.create_temporary_system_function(alias or name.partition("@")[0], made)
    return made


def function(
    address: str,
    name: str,
    *,
    token: str | None = None,
    deterministic: bool = True,
    direct: bool = True,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
) -> UserDefinedScalarFunctionWrapper:
    """A registered function as PyFlink's `udf` returns them, to be called on expressions."""
    remote = FlightFunction(
        address, name, token, direct, repeatable=deterministic, tls=choose(address, tls_ca, tls_cert, tls_key)
    )
    inputs, result = _checked(name, remote.resolve())
    return udf(
        _Remote(remote, inputs, deterministic),
        input_types=[_flink_type(name, field) for field in inputs],
        result_type=_flink_type(name, result),
        name=name.partition("@")[0],
        func_type="pandas",
    )


class _Remote(ScalarFunction):  # type: ignore[misc]
    """What Flink's workers run: a batch of columns goes to the fleet and its results come back."""

    def __init__(self, remote: FlightFunction, inputs: list[pa.Field], deterministic: bool) -> None:
        self.remote = remote
        self.inputs = inputs
        self.deterministic = deterministic

    def is_deterministic(self) -> bool:
        return self.deterministic

    def eval(self, *columns: Any) -> pd.Series:
        rows = next((len(column) for column in columns if isinstance(column, pd.Series)), None)
        if rows is None:
            raise InvalidInputError(
                "Flink does not say for how many rows a function without columns is called",
                function=self.remote.name,
                hint="give it a column among its arguments",
            )
        arrays = [self._array(index, column, rows) for index, column in enumerate(columns)]
        schema = pa.schema([field.with_nullable(True) for field in self.inputs])
        answer = self.remote.call(pa.record_batch(arrays, schema=schema))
        # Integers beside nulls stay integers.
        return answer.to_pandas(date_as_object=True, integer_object_nulls=True)

    def _array(self, index: int, column: Any, rows: int) -> pa.Array:
        wanted = self.inputs[index].type
        if not isinstance(column, pd.Series):
            return pa.repeat(pa.scalar(column, wanted), rows)
        if wanted == pa.int64() and column.dtype.kind == "f" and (column.abs() >= _EXACT).any():
            raise InvalidInputError(
                f"argument {index + 1}: PyFlink has rounded BIGINTs of this batch, because others in it are null",
                function=self.remote.name,
                hint="COALESCE them, or CAST them AS DECIMAL(19, 0) for a function that takes that",
            )
        return pa.Array.from_pandas(column, type=wanted)

    def close(self) -> None:
        self.remote.close()


def _checked(name: str, info: flight.FlightInfo) -> tuple[list[pa.Field], pa.Field]:
    """Its inputs and its result."""
    schema = info.schema
    metadata = schema.metadata or {}
    kind = metadata.get(_KIND, b"SCALAR").decode()
    if kind != "SCALAR":
        raise InvalidDefinitionError(
            f"Flink takes scalar functions, this one is {kind.lower().replace('_', ' ')}",
            function=name,
            hint="call it with fleet.stream() or in a table (fleet.from_arrow)",
        )
    if info.total_records < 0:
        raise InvalidDefinitionError(
            "Flink has to know the types of its arguments, it was declared without any",
            function=name,
            hint="register it with input_types=[...]",
        )
    count = int(metadata[_INPUT_COUNT])
    if not count:
        raise InvalidDefinitionError(
            "Flink does not say for how many rows a function without arguments is called",
            function=name,
            hint="declare it with an argument that it ignores",
        )
    fields = list(schema)
    return fields[:count], fields[count]


def _flink_type(name: str, field: pa.Field) -> DataType:
    arrow = field.type
    if pa.types.is_timestamp(arrow) and arrow.tz is not None:
        return LocalZonedTimestampType(_PRECISIONS[arrow.unit], field.nullable)
    if _survives(arrow):
        return from_arrow_type(arrow, field.nullable)
    what = "the result" if field.name == "result" else field.name.replace("arg", "argument ")
    raise InvalidDefinitionError(
        f"{what} has a type that PyFlink's pandas functions lack or change ({arrow})",
        function=name,
        hint="declare another type; docs/engines/flink.md lists those that it knows",
    )


def _survives(arrow: pa.DataType) -> bool:
    """Whether values of a type come through PyFlink's Series as they are."""
    if pa.types.is_list(arrow):
        element = arrow.value_type
        return bool(pa.types.is_string(element) or pa.types.is_floating(element))
    plain = (
        pa.types.is_boolean,
        pa.types.is_signed_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_string,
        pa.types.is_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_date32,
        # Flink's own TIME has milliseconds, whatever its precision.
        pa.types.is_time32,
        pa.types.is_timestamp,
    )
    return any(check(arrow) for check in plain)
