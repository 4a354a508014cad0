"""A stream of batches through a pipeline: sliced, windowed, joined, in order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import pyarrow as pa

from ..errors import InvalidInputError, LimitExceededError
from .link import Item
from .pipeline import Pipeline
from .slicing import Joiner, pieces

_SLOW_PULL_SECONDS = 0.005


def run(pipeline: Pipeline, batches: Iterable[pa.RecordBatch], max_frame_bytes: int) -> Iterator[pa.RecordBatch]:
    """Answers in the order of the batches; takes in no more than the pipeline's window before yielding."""
    joiner = Joiner()
    source = iter(batches)
    schema: pa.Schema | None = None
    waited = 0.0
    while True:
        start = time.perf_counter()
        batch = next(source, None)
        if batch is None:
            break
        # A source slower than the fleet: filling the window would only delay answers that are there.
        slow = time.perf_counter() - start > max(_SLOW_PULL_SECONDS, 4 * waited)
        schema = _same_schema(schema, batch)
        size = batch.nbytes
        parts = pieces(batch, size)
        joiner.expect(len(parts))
        offset = 0
        for part in parts:
            piece = Item(part, size if len(parts) == 1 else part.nbytes, offset)
            _check_frame(piece, max_frame_bytes)
            while not pipeline.offer(piece):
                answer = joiner.add(pipeline.receive())
                if answer is not None:
                    yield answer
            offset += part.num_rows
        while slow and len(pipeline):
            start = time.perf_counter()
            answer = joiner.add(pipeline.receive())
            waited = time.perf_counter() - start
            if answer is not None:
                yield answer
    while len(pipeline):
        answer = joiner.add(pipeline.receive())
        if answer is not None:
            yield answer


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


def _check_frame(item: Item, limit: int) -> None:
    if item.size > limit:
        raise LimitExceededError(
            f"a batch of {item.batch.num_rows} rows takes {item.size} bytes, the frame limit is {limit} bytes",
            hint="give batches of fewer rows",
        )
