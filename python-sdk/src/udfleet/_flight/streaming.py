"""A stream of batches through a pipeline: sliced, windowed, in order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import pyarrow as pa

from ..errors import InvalidInputError, LimitExceededError
from .pending_batch import PendingBatch
from .pipeline import Pipeline
from .results import ResultAssembler
from .slicing import pieces

_SLOW_PULL_SECONDS = 0.005


def run(
    pipeline: Pipeline,
    batches: Iterable[pa.RecordBatch],
    max_frame_bytes: int,
    answers: ResultAssembler,
    whole: bool = False,
) -> Iterator[pa.RecordBatch]:
    """ResultAssembler in the order of the batches; takes in no more than the pipeline's window before yielding.

    :param whole: errors count rows from the first of all batches, not from the first of theirs.
    """
    source = iter(batches)
    schema: pa.Schema | None = None
    start = 0
    waited = 0.0
    while True:
        pulled = time.perf_counter()
        batch = next(source, None)
        if batch is None:
            break
        # A source slower than the fleet: filling the window would only delay answers that are there.
        slow = time.perf_counter() - pulled > max(_SLOW_PULL_SECONDS, 4 * waited)
        schema = _same_schema(schema, batch)
        for piece in _items(batch, answers, max_frame_bytes, start):
            while not pipeline.offer(piece):
                answer = answers.add(*pipeline.receive())
                if answer is not None:
                    yield answer
        while slow and len(pipeline):
            asked = time.perf_counter()
            answer = answers.add(*pipeline.receive())
            waited = time.perf_counter() - asked
            if answer is not None:
                yield answer
        start += batch.num_rows if whole else 0
    while len(pipeline):
        answer = answers.add(*pipeline.receive())
        if answer is not None:
            yield answer
    yield from answers.rest()


def aggregate(
    pipeline: Pipeline, batches: Iterable[pa.RecordBatch], max_frame_bytes: int, answers: ResultAssembler
) -> Iterator[pa.RecordBatch]:
    """Sends all batches, then yields what comes of them all. Errors count rows from the first of all batches."""
    schema: pa.Schema | None = None
    start = 0
    for batch in batches:
        schema = _same_schema(schema, batch)
        for piece in _items(batch, answers, max_frame_bytes, start):
            while not pipeline.offer(piece):
                pipeline.receive()
        start += batch.num_rows
    while len(pipeline):
        pipeline.receive()
    pipeline.end_input()
    while len(pipeline):
        answer = answers.add(*pipeline.receive())
        if answer is not None:
            yield answer
    yield from answers.rest()


def _items(batch: pa.RecordBatch, answers: ResultAssembler, max_frame_bytes: int, start: int) -> Iterator[PendingBatch]:
    size = batch.nbytes
    parts = pieces(batch, size)
    answers.expect([part.num_rows for part in parts])
    offset = start
    for part in parts:
        item = PendingBatch(part, size if len(parts) == 1 else part.nbytes, offset)
        _check_frame(item, max_frame_bytes)
        yield item
        offset += part.num_rows


def _same_schema(schema: pa.Schema | None, batch: pa.RecordBatch) -> pa.Schema:
    if not isinstance(batch, pa.RecordBatch):
        raise InvalidInputError(f"stream() takes RecordBatches, not {type(batch).__name__}")
    if schema is not None and not schema.equals(batch.schema):
        raise InvalidInputError(
            f"a batch of the stream has the schema ({_short(batch.schema)}), the first had ({_short(schema)})",
            hint="give all batches of one stream the same schema, with RecordBatch.cast for instance",
        )
    return schema or batch.schema


def _short(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _check_frame(item: PendingBatch, limit: int) -> None:
    if item.size > limit:
        raise LimitExceededError(
            f"a batch of {item.batch.num_rows} rows takes {item.size} bytes, the frame limit is {limit} bytes",
            hint="give batches of fewer rows",
        )
