"""Runs functions and plans on batches: over how many streams, in which form, how often."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from .._flight import codec, streaming
from .._flight.directory import Directory
from .._flight.pipeline import OnBundle, Pipeline, new_producer
from .._flight.results import JoinedResults, NumberedResults, ResultAssembler, UnjoinedResults
from .._flight.target import FunctionTarget, PlanTarget, Target
from .._packing.definition import on_error_value
from .._proto.udfleet.v1 import exchange_pb2, plan_pb2
from ..errors import InvalidInputError, UdfleetError
from ..progress import BundleProgressHandler
from ..table.plan import aggregates, function_names
from .bundles import tell
from .progress import RowCount

_AGGREGATES = frozenset({"AGGREGATE", "TABLE_AGGREGATE"})


class Batches:
    """The input of a call: an iterator, or a function that makes one as often as it is asked."""

    def __init__(self, make: Callable[[], Iterable[pa.RecordBatch]], replayable: bool, rows: int | None = None) -> None:
        self.make = make
        self.replayable = replayable
        self.rows = rows
        """How many there are, where that is known."""

    @classmethod
    def of(cls, batches: Any) -> Batches:
        """Tables and lists can be run through again.

        :raises InvalidInputError: no batches can come of that.
        """
        if isinstance(batches, pa.Table):
            return cls(batches.to_batches, True, batches.num_rows)
        if isinstance(batches, pa.RecordBatch):
            return cls(lambda: [batches], True, batches.num_rows)
        if not _iterable(batches) or hasattr(batches, "iloc") or isinstance(batches, (str, bytes, dict)):
            raise InvalidInputError(
                f"stream() takes RecordBatches, not {type(batches).__name__}",
                hint="of a DataFrame: pyarrow.Table.from_pandas(frame); of lists: fleet.call()",
            )
        if not isinstance(batches, (list, tuple)):
            return cls(lambda: batches, False)
        return cls(lambda: batches, True, sum(b.num_rows for b in batches if isinstance(b, pa.RecordBatch)))

    def counted(self, count: RowCount) -> Batches:
        """The same, while the rows that were taken are counted."""

        def make() -> Iterator[pa.RecordBatch]:
            count.rows = 0
            for batch in self.make():
                count.rows += batch.num_rows if isinstance(batch, pa.RecordBatch) else 0
                yield batch

        return Batches(make, self.replayable, self.rows)


def _iterable(value: Any) -> bool:
    try:
        iter(value)
    except TypeError:
        return False
    return True


class Runner:
    """The data plane of one connection."""

    def __init__(self, directory: Directory, describe: Any, job: str, direct: bool) -> None:
        self._directory = directory
        self._describe = describe
        self._job = job
        self._direct = direct
        self.max_frame_bytes = 256 << 20

    def function(self, name: str, on_error: str | None = None, bundles: bool = False) -> FunctionTarget:
        """A registered function as something to call."""
        return FunctionTarget(self._directory, name, self._job, self._describe, on_error_value(on_error), bundles)

    def plan(self, plan: plan_pb2.Plan, on_error: str | None = None, bundles: bool = False) -> PlanTarget:
        """A plan as something to call."""
        names = function_names(plan)
        return PlanTarget(self._directory, plan, self._job, self._describe, names, on_error_value(on_error), bundles)

    def reference(self, name: str) -> str:
        """The version that calls of a function go to now, as `name@version`; empty where no executor serves it."""
        return self._directory.route(name).reference

    def pipeline(self, target: Target, **options: Any) -> Pipeline:
        """Streams to the peers that serve it."""
        return Pipeline(target, direct=self._direct, **options)

    def plan_schema(self, plan: plan_pb2.Plan) -> pa.Schema:
        """The columns of a plan's results."""
        request = exchange_pb2.ExchangeRequest(plan=plan)
        return self._directory.plan_schema(codec.descriptor(request.SerializeToString()))

    def run_function(
        self, name: str, batches: Batches, on_error: str | None, handler: BundleProgressHandler | None
    ) -> Iterator[pa.RecordBatch]:
        """A plain call: one batch back for each of a scalar function, parts of any other."""
        route = self._directory.route(name)
        target = self.function(name, on_error, handler is not None)
        if route.kind not in _AGGREGATES:
            if route.kind == "SCALAR":
                return self._run(target, batches, JoinedResults(), handler)
            return self._run(target, batches, NumberedResults(), handler, whole=True)
        if route.inputs is not None:
            batches = Batches(_at_least_one(batches.make, pa.schema(route.inputs)), batches.replayable)
        return self._aggregate(target, batches, handler)

    def run_plan(
        self, plan: plan_pb2.Plan, batches: Batches, on_error: str | None, handler: BundleProgressHandler | None
    ) -> Iterator[pa.RecordBatch]:
        """A plan over its source."""
        target = self.plan(plan, on_error, handler is not None)
        if aggregates(plan):
            return self._aggregate(target, batches, handler)
        return self._run(target, batches, UnjoinedResults(), handler, whole=True)

    def _run(
        self,
        target: Target,
        batches: Batches,
        answers: ResultAssembler,
        handler: BundleProgressHandler | None,
        whole: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        with contextlib.closing(self.pipeline(target, on_bundle=_hears(handler))) as pipeline:
            yield from streaming.run(pipeline, batches.make(), self.max_frame_bytes, answers, whole)

    def _aggregate(
        self, target: Target, batches: Batches, handler: BundleProgressHandler | None
    ) -> Iterator[pa.RecordBatch]:
        """Retries a run that failed before its first result, if the same batches can be read again."""
        attempt, producer = 1, new_producer()
        while True:
            some = False
            try:
                again = {"producer": producer, "attempt": attempt}
                pipeline = self.pipeline(target, aggregates=True, on_bundle=_hears(handler), **again)
                with contextlib.closing(pipeline):
                    for part in streaming.aggregate(pipeline, batches.make(), self.max_frame_bytes, UnjoinedResults()):
                        some = True
                        yield part
            except UdfleetError as error:
                if some or not error.retryable or not batches.replayable or attempt >= target.max_attempts():
                    raise
                attempt += 1
                target.forget()
                continue
            return


def _hears(handler: BundleProgressHandler | None) -> OnBundle | None:
    return None if handler is None else functools.partial(tell, handler)


def _at_least_one(
    make: Callable[[], Iterable[pa.RecordBatch]], schema: pa.Schema
) -> Callable[[], Iterator[pa.RecordBatch]]:
    """Without any batch the columns would be unknown."""

    def batches() -> Iterator[pa.RecordBatch]:
        count = 0
        for batch in make():
            count += 1
            yield batch
        if not count:
            yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)

    return batches
