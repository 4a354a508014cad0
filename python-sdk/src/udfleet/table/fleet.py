"""What tables need of a fleet: a client's `Fleet` has it. Tables know nothing else of clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from .plan import Functions

if TYPE_CHECKING:
    from .._proto.udfleet.v1 import function_pb2, plan_pb2
    from .._state.group_spec import GroupSpec
    from ..progress import BundleProgressHandler
    from ..streams import KeyedStream
    from ..types import DataType


class FleetFunctions(Functions, Protocol):
    """The functions of a fleet."""

    def forget_inline(self) -> None:
        """Declarations are registered again when they are used next, because they were dropped."""


class PlanFleet(Protocol):
    """Explains and runs plans."""

    @property
    def _functions(self) -> FleetFunctions:
        """What plans have to know about functions."""

    def _explain_plan(self, plan: plan_pb2.Plan) -> str:
        """The stages that the fleet makes of a plan, as text."""

    def _plan_schema(self, plan: plan_pb2.Plan) -> pa.Schema:
        """The columns of a plan's results."""

    def _run_plan(
        self,
        plan: plan_pb2.Plan,
        batches: Callable[[], Iterable[pa.RecordBatch]],
        replayable: bool,
        on_error: str | None,
        handler: BundleProgressHandler | None,
    ) -> Iterator[pa.RecordBatch]:
        """The results of a plan over batches; `replayable` ones can be asked for again."""

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
        """A stream of key columns and arguments, which are given from a row on."""

    def _definition(self, function: str) -> function_pb2.FunctionDefinition:
        """A registered function."""

    def _group_function(
        self,
        spec: GroupSpec,
        functions: Sequence[function_pb2.FunctionDefinition],
        input_types: Sequence[DataType],
        result_type: DataType,
        partitions: int | None,
    ) -> str:
        """The name of the function with keyed state that runs these groups, registered where it is new."""

    def _show_progress(
        self, name: str, batches: Iterator[pa.RecordBatch], total: int | None
    ) -> Iterator[pa.RecordBatch]:
        """The batches, while their rows are counted on stderr."""
