"""Where tables begin: `fleet.from_elements` and its like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .._proto.udfleet.v1 import keyed_pb2
from ..declaration import udf
from ..errors import NoCapacityError
from ..streams import KeyedStream
from ..table.plan import function_names
from .arguments import text
from .groups import group_function
from .progress import shown
from .runner import Batches

if TYPE_CHECKING:
    from .._proto.udfleet.v1 import function_pb2, plan_pb2
    from .._rpc import Rpc
    from .._state.group_spec import GroupSpec
    from ..progress import BundleProgressHandler
    from ..table.table import Table
    from ..types import DataType
    from .inline import FleetFunctions
    from .runner import Runner


_ANY_FUNCTION = udf(bool, ["BIGINT"], "BOOLEAN", name="any_function")
"""Registered where a plan needs an interpreter and there is none yet."""


class Tables:
    """What a fleet makes tables of."""

    _rpc: Rpc
    _functions: FleetFunctions
    _runner: Runner
    _config: dict[str, Any]

    def _explain_plan(self, plan: plan_pb2.Plan) -> str:
        self._ensure_interpreter(plan)
        return self._rpc.explain(plan).text

    def _plan_schema(self, plan: plan_pb2.Plan) -> pa.Schema:
        self._ensure_interpreter(plan)
        return self._runner.plan_schema(plan)

    def _ensure_interpreter(self, plan: plan_pb2.Plan) -> None:
        """Plans that call no registered function run in interpreters that there are: of a fleet without any function
        there are none, and one is registered to start them.
        """
        if any(self._functions.kind(name) for name in function_names(plan)):
            return
        try:
            self._rpc.explain(plan)
        except NoCapacityError:
            self._functions.refer(_ANY_FUNCTION)

    def _run_plan(
        self,
        plan: plan_pb2.Plan,
        batches: Callable[[], Iterable[pa.RecordBatch]],
        replayable: bool,
        on_error: str | None,
        handler: BundleProgressHandler | None,
    ) -> Iterator[pa.RecordBatch]:
        self._ensure_interpreter(plan)
        return self._runner.run_plan(plan, Batches(batches, replayable), on_error, handler)

    def _open_stream(
        self,
        stream: str,
        function: str,
        key_columns: int,
        schema: pa.Schema,
        batches: Callable[[int], Iterator[pa.RecordBatch]],
        commits_itself: bool,
        reset: bool = False,
        retain_results: bool = False,
    ) -> KeyedStream:
        message = pa.ipc.read_message(schema.serialize())
        opening = keyed_pb2.OpenStream(
            stream=text(stream, "the id of a stream"),
            function=function,
            key_columns=key_columns,
            schema=message.metadata.to_pybytes(),
            reset=reset,
            retain_results=retain_results,
        )
        return KeyedStream(self._rpc, opening, batches, commits_itself)

    def _definition(self, function: str) -> function_pb2.FunctionDefinition:
        return self._rpc.describe(function).definition

    def _group_function(
        self,
        spec: GroupSpec,
        functions: Sequence[function_pb2.FunctionDefinition],
        input_types: Sequence[DataType],
        result_type: DataType,
        partitions: int | None,
    ) -> str:
        return group_function(self._rpc, spec, functions, input_types, result_type, partitions, self._config)

    def _show_progress(
        self, name: str, batches: Iterator[pa.RecordBatch], total: int | None
    ) -> Iterator[pa.RecordBatch]:
        return shown(name, batches, total)

    def from_elements(self, elements: Iterable[Any], schema: Any = None, verify_schema: bool = True) -> Table:
        """A table of Python values: rows as tuples, lists, Rows or dicts; single values make one column.

        :param schema: names (`["a", "b"]` or `"a, b"`), a ROW type, its SQL text, or a list of types or fields; None:
            types that hold the values, and the rows' own names or `_1`, `_2`, ...
        :param verify_schema: accepted for PyFlink's sake and ignored: values are always checked.
        :raises InvalidInputError: naming row, column and value: out of range, of another type, null where none may be.
        """
        from ..table import sources
        from ..table.table import Table

        return Table(self, sources.from_elements(elements, schema))

    def from_arrow(self, table: pa.Table | pa.RecordBatch) -> Table:
        """A table of Arrow data, which is not copied."""
        from ..table import sources
        from ..table.table import Table

        return Table(self, sources.from_table(table))

    def from_pandas(self, frame: Any, schema: Any = None) -> Table:
        """A table of a DataFrame, whose index is left out; NaN is null.

        :param schema: names or types, as for `from_elements`.
        """
        from ..table import sources
        from ..table.table import Table

        return Table(self, sources.from_pandas(frame, schema))

    def from_batches(self, batches: Any, schema: Any = None, *, row_kind: str | None = None) -> Table:
        """A table of RecordBatches as they come, in constant memory.

        :param batches: a list, a RecordBatchReader, an iterator (which serves one run), or a function that makes one.
        :param schema: an Arrow schema, or as for `from_elements`; needed where the first batch is not known yet.
        :param row_kind: the rows are changes of a table, and this column says what they do to it: 0 inserts (+I), 1 is
            a row before (-U) and 2 after (+U) an update, 3 deletes (-D). Streams of groups apply them.
        """
        from ..table import sources
        from ..table.table import Table

        return Table(self, sources.from_batches(batches, schema, row_kind))
