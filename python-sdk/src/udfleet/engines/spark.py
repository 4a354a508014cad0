"""Spark: a registered function as a column expression, in SQL, and over whole DataFrames.

The driver and Spark's Python workers are processes of their own: what travels to a worker says how to reach the fleet,
and each worker opens one connection, which all its tasks use.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import InvalidInputError
from ._function import EngineFunction
from ._spark_types import carrier, spark_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from .._client.fleet import Fleet


def function(fleet: Fleet, name: str, *, on_error: str | None = None) -> Any:
    """A registered scalar function as an Arrow UDF: `frame.select(f("a", "b"))`.

    :param name: `name`, its newest version as of now, or `name@version`.
    :param on_error: what becomes of rows that it raises for: `fail` or `null`; None: as it was registered.
    :raises InvalidDefinitionError: it is no scalar function, takes no arguments, or has a type that Spark lacks.
    """
    from pyspark.sql.functions import arrow_udf

    checked = _checked(fleet, name, on_error)
    remote = _Remote(fleet, checked)

    def call(*columns):  # type: ignore[no-untyped-def] # Spark takes what has no hints for what this is.
        return remote(*columns)

    # Spark names columns after it.
    call.__name__ = checked.name
    made = arrow_udf(call, spark_type(checked.result_type))
    return made if checked.deterministic else made.asNondeterministic()


def register(
    session: SparkSession, fleet: Fleet, name: str, *, alias: str | None = None, on_error: str | None = None
) -> Any:
    """Makes a registered scalar function a function of SQL in this session; returns it for expressions.

    :param alias: its name in SQL; the function's own by default. The rest is as for `function`.
    """
    return session.udf.register(alias or name.partition("@")[0], function(fleet, name, on_error=on_error))


def map_in_arrow(
    frame: DataFrame, fleet: Fleet, name: str, columns: list[str], output: str, *, on_error: str | None = None
) -> DataFrame:
    """The DataFrame with one more column: what a registered scalar function gives for some of its columns.

    Each partition is one stream with several batches in flight, which takes less time where a function is slow.

    :param columns: names of the columns that the function is called with.
    :param output: the name of the new column. The rest is as for `function`.
    :raises InvalidDefinitionError: Spark can't call it, or it does not take columns of these types.
    :raises InvalidInputError: there is such a column already.
    """
    from pyspark.sql.types import StructField, StructType

    checked = _checked(fleet, name, on_error)
    places = [_place(frame, column, checked) for column in columns]
    if output in frame.columns:
        raise InvalidInputError(
            f"the DataFrame has a column {output!r} already", function=checked.reference, hint="choose another name"
        )
    checked.check([carrier(frame.schema[place].dataType) for place in places])
    schema = StructType([*frame.schema, StructField(output, spark_type(checked.result_type))])
    return frame.mapInArrow(_Appended(_Remote(fleet, checked), places, output), schema)


def _place(frame: DataFrame, column: str, function: EngineFunction) -> int:
    names: list[str] = frame.columns
    if column in names:
        return names.index(column)
    raise InvalidInputError(
        f"the DataFrame has no column {column!r}, only {', '.join(names)}", function=function.reference
    )


def _checked(fleet: Fleet, name: str, on_error: str | None) -> EngineFunction:
    function = EngineFunction(fleet, name, "Spark", on_error)
    if not function.input_types:
        raise function.refused(
            "its Arrow functions take at least one column", "declare the function with an argument that it ignores"
        )
    function.refuse_types("INTERVAL_YEAR_MONTH")
    function.refuse_result(
        lambda part: part.root in ("TIME", "TIMESTAMP", "TIMESTAMP_LTZ") and part.precision > 6,
        "it keeps microseconds",
    )
    function.check([carrier(spark_type(each)) for each in function.input_types])
    return function


class _Remote:
    """What Spark's workers are sent: the address of the fleet, and the function."""

    def __init__(self, fleet: Fleet, function: EngineFunction) -> None:
        self.settings = fleet._settings
        self.reference = function.reference
        self.on_error = function.on_error
        self.type = carrier(spark_type(function.result_type))

    def __call__(self, *columns: pa.Array) -> pa.Array:
        answer = _opened(self.settings.fleet(), self.reference, self.on_error)(columns)
        return answer.cast(self.type).combine_chunks()

    def stream(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Array]:
        """One column for each batch, several batches in flight."""
        for answer in self.settings.fleet().stream(self.reference, batches, on_error=self.on_error):
            yield answer.column(0).cast(self.type)


@functools.cache
def _opened(fleet: Fleet, reference: str, on_error: str) -> EngineFunction:
    return EngineFunction(fleet, reference, "Spark", on_error)


class _Appended:
    """What `mapInArrow` calls for each partition."""

    def __init__(self, remote: _Remote, places: list[int], output: str) -> None:
        self.remote = remote
        self.places = places
        self.output = output

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        waiting: deque[pa.RecordBatch] = deque()

        def arguments() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                waiting.append(batch)
                columns = [batch.column(place) for place in self.places]
                yield pa.RecordBatch.from_arrays(columns, [f"arg{index}" for index in range(len(columns))])

        for answer in self.remote.stream(arguments()):
            batch = waiting.popleft()
            names = [*batch.schema.names, self.output]
            yield pa.RecordBatch.from_arrays([*batch.columns, answer], names)
