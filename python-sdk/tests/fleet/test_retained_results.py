"""`retain_results`: what a client that died had not written comes again, once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import pyarrow as pa
import pytest

import udfleet
from udfleet import DataTypes, KeyedProcessFunction, ValueStateDescriptor, keyed_process


class Counting(KeyedProcessFunction):
    """Counts the rows of a key."""

    def open(self, runtime_context: Any) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", DataTypes.BIGINT()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        count = (self.seen.value() or 0) + 1
        self.seen.update(count)
        yield value.row, count


COUNTING = keyed_process(Counting, [DataTypes.BIGINT()], [DataTypes.BIGINT(), DataTypes.BIGINT()])


def rows(count: int) -> list[pa.RecordBatch]:
    users = [f"user-{number % 5}" for number in range(count)]
    return pa.table({"user": users, "row": pa.array(range(count), pa.int64())}).to_batches(10)


def open_stream(fleet: udfleet.Fleet, stream: str, **options: Any) -> Any:
    return fleet.from_batches(rows(100)).key_by("user").process("retaining(row)").open_stream(stream, **options)


@pytest.fixture(scope="module")
def retaining(fleet: udfleet.LocalFleet) -> udfleet.LocalFleet:
    fleet.register_function("retaining", COUNTING, config={"python.fn-execution.bundle.size": 10}, partitions=4)
    return fleet


def expected(first: int, end: int) -> list[dict[str, int]]:
    return [{"f0": row, "f1": row // 5 + 1} for row in range(first, end)]


def test_the_last_bundle_comes_again(retaining: udfleet.LocalFleet) -> None:
    with open_stream(retaining, "retained-again", retain_results=True, commit="manual") as stream:
        bundles = iter(stream)
        for _ in range(3):
            next(bundles).commit()
    with open_stream(retaining, "retained-again", retain_results=True) as stream:
        assert stream.position == 30
        first, second, *others = list(stream)
    assert (first.is_retained, first.is_committed, first.first_row, first.rows) == (True, True, 20, 10)
    assert first.to_pylist() == expected(20, 30)
    assert (second.is_retained, second.first_row) == (False, 30)
    assert second.to_pylist() == expected(30, 40)
    assert len(others) == 6
    with open_stream(retaining, "retained-again") as stream:
        assert list(stream) == [], "who does not ask gets nothing"


def test_a_stream_that_retains_nothing_gives_nothing_again(retaining: udfleet.LocalFleet) -> None:
    with open_stream(retaining, "retained-nothing", commit="manual") as stream:
        next(iter(stream)).commit()
    with open_stream(retaining, "retained-nothing", retain_results=True) as stream:
        assert next(iter(stream)).first_row == 10


_CLIENT = """
import sys
sys.path.insert(0, {folder!r})
import udfleet
import test_retained_results as shared

fleet = udfleet.connect({address!r}, token={token!r})
with shared.open_stream(fleet, {stream!r}, retain_results=True) as stream:
    for bundle in stream:
        bundle.commit()
        print(bundle.first_row, flush=True)
"""


@pytest.mark.parametrize("at", [10, 40, 70])
def test_a_client_that_is_killed_before_it_writes_loses_nothing(retaining: udfleet.LocalFleet, at: int) -> None:
    name = f"killed-{at}"
    code = textwrap.dedent(_CLIENT).format(
        folder=os.path.dirname(__file__), address=retaining.address, token=retaining.token, stream=name
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        for line in client.stdout:
            if int(line) >= at:
                break
        client.kill()
    written: dict[int, dict[str, int]] = {}
    with open_stream(retaining, name, retain_results=True) as stream:
        begun = stream.position
        for bundle in stream:
            for result in bundle.to_pylist():
                assert result["f0"] not in written
                written[result["f0"]] = result
    assert begun >= at + 10
    # All from the last bundle on that the first client had committed, or was committing: those before it had written.
    first = min(written, default=begun)
    assert first <= begun
    assert list(written.values()) == expected(first, 100)
