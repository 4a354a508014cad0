"""A registered scalar function as engines call functions: columns in, one column out, from any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from .._packing.definition import on_error_value
from ..errors import InvalidDefinitionError, InvalidInputError
from ..types import DataType
from ..types.arrow import to_arrow_field

if TYPE_CHECKING:
    from .._client.fleet import Fleet
    from .._client.views import FunctionView

_BATCH_KEY = "python.fn-execution.arrow.batch.size"
_BATCH_ROWS = 10_000
_WITHOUT_VIEW = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


class EngineFunction:
    """One version of a function: what is registered under its name later changes neither types nor results of queries.

    :param engine: its name, for errors.
    :param on_error: what becomes of rows that it raises for: `fail` or `null`; None: as it was registered.
    :raises InvalidDefinitionError: the engine can't call it.
    :raises InvalidInputError: there is no such `on_error`.
    """

    def __init__(self, fleet: Fleet, name: str, engine: str, on_error: str | None = None) -> None:
        # Before the engine has what would fail with each of its calls.
        on_error_value(on_error)
        view = fleet.function(name)
        self.engine = engine
        self.name = view.name
        self.reference = view.reference
        self.deterministic = view.deterministic
        self.on_error = on_error or view.on_error
        _check_kind(view, engine)
        _check_on_error(view, engine, self.on_error)
        self.input_types = _declared(view, engine)
        self.result_type = view.result_type
        # Nulls in NOT NULL columns are reported with their row by the interpreter.
        self.inputs = [to_arrow_field(f"arg{index}", t.nullable()) for index, t in enumerate(self.input_types)]
        self.result: pa.Field = to_arrow_field("result", self.result_type.nullable())
        self._calls = fleet._pool
        self._batch_rows = int(view.config.get(_BATCH_KEY, _BATCH_ROWS))

    def refused(self, why: str, hint: str) -> InvalidDefinitionError:
        """The error of a function that the engine can't call."""
        return InvalidDefinitionError(f"{self.engine} can't call it: {why}", function=self.reference, hint=hint)

    def __call__(self, columns: Sequence[pa.Array | pa.ChunkedArray], rows: int | None = None) -> pa.ChunkedArray:
        """One value per row.

        :param rows: how many, where there are no columns to tell.
        """
        if not columns:
            batches = [pa.RecordBatch.from_struct_array(pa.array([{}] * (rows or 0), pa.struct([])))]
            return self._run(batches[0].schema, batches if rows else [])
        plain = [_plain(column) for column in columns]
        table = pa.table(plain, names=[f"arg{index}" for index in range(len(plain))])
        return self._run(table.schema, table.to_batches(max_chunksize=self._batch_rows))

    def refuse_types(self, *roots: str) -> None:
        """Fails where one of these types is among the function's, at any depth."""
        for index, declared in enumerate(self.input_types):
            self._refuse(f"column {index}", declared, lambda part: part.root in roots)
        self.refuse_result(lambda part: part.root in roots)

    def refuse_result(self, unknown: Callable[[DataType], bool], why: str = "") -> None:
        """Fails where a part of the result's type is one that the engine does not know."""
        self._refuse("the result", self.result_type, unknown, why)

    def _refuse(self, place: str, declared: DataType, unknown: Callable[[DataType], bool], why: str = "") -> None:
        found = next((part for part in _parts(declared) if unknown(part)), None)
        if found is not None:
            raise self.refused(f"{place} has the type {found}" + (f", {why}" if why else ""), self._other_type())

    def check(self, types: Sequence[pa.DataType]) -> None:
        """Asks the fleet whether the function takes columns of the types that the engine will send.

        :raises InvalidDefinitionError: it does not, or takes another number of them.
        """
        schema = pa.schema([(f"arg{index}", each) for index, each in enumerate(types)])
        try:
            self._calls.check(self.reference, schema)
        except InvalidInputError as error:
            raise self.refused(error.message, self._other_type()) from None

    def check_arguments_tell_rows(self) -> None:
        """Fails without arguments; what is deterministic is called for one row then."""
        if not self.input_types and not self.deterministic:
            raise self.refused(
                "it does not say for how many rows a function without arguments is called",
                "declare the function deterministic, or with an argument that it ignores",
            )

    def check_count(self, given: int) -> None:
        """Fails where another number of columns is given than the function takes."""
        if given == len(self.inputs):
            return
        expected = ", ".join(map(str, self.input_types))
        raise InvalidInputError(
            f"takes {len(self.inputs)} columns ({expected}), {given} given", function=self.reference
        )

    def _other_type(self) -> str:
        return f"declare another type; docs/engines/{self.engine.lower()}.md says which types it knows"

    def _run(self, schema: pa.Schema, batches: list[pa.RecordBatch]) -> pa.ChunkedArray:
        if not batches:
            return pa.chunked_array([pa.array([], self.result.type)])
        answers = self._calls.call(self.reference, schema, batches, self.on_error)
        return pa.chunked_array([answer.column(0) for answer in answers], self.result.type)


def _check_kind(view: FunctionView, engine: str) -> None:
    if view.kind == "scalar":
        return
    kind = view.kind.replace("_", " ")
    raise InvalidDefinitionError(
        f"{engine} takes scalar functions, this is {'an' if kind[0] == 'a' else 'a'} {kind} function",
        function=view.reference,
        hint="call it with fleet.stream() or in a table (fleet.from_arrow), and give the engine what comes out",
    )


def _check_on_error(view: FunctionView, engine: str, on_error: str) -> None:
    if on_error != "skip":
        return
    raise InvalidDefinitionError(
        f"{engine} needs a value for each row, rows that fail would be left out (on_error='skip')",
        function=view.reference,
        hint="pass on_error='null' or 'fail' here",
    )


def _declared(view: FunctionView, engine: str) -> list[DataType]:
    if view.input_types is None:
        raise InvalidDefinitionError(
            f"{engine} has to know the types of its arguments, it was declared without any",
            function=view.reference,
            hint="register it with input_types=[...]",
        )
    return view.input_types


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Dictionaries belong to a stream, and streams outlive calls; views send all of a column with each batch of it."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    flat = _WITHOUT_VIEW.get(column.type)
    return column if flat is None else column.cast(flat)


def _parts(data_type: DataType) -> Iterator[DataType]:
    """The type and all that it is made of."""
    yield data_type
    for part in (data_type.key, data_type.element, *(field.data_type for field in data_type.fields)):
        if part is not None:
            yield from _parts(part)
