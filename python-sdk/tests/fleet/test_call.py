"""From a decorator through a coordinator and executors and back."""

from __future__ import annotations

import pyarrow as pa
import pytest

import udfleet
from udfleet import DataTypes, FunctionContext, ScalarFunction, udf

BIGINT = DataTypes.BIGINT()


@udf(input_types=[BIGINT, BIGINT], result_type=BIGINT)
def add(i, j):
    return None if i is None or j is None else i + j


class Offset(ScalarFunction):
    def open(self, function_context: FunctionContext) -> None:
        self.offset = 100

    def eval(self, a):
        return a + self.offset


def test_call(fleet):
    view = fleet.register_function("add", add)
    assert view.state == "READY" and view.signature == "(BIGINT, BIGINT) -> BIGINT"
    assert fleet.call("add", [1, 2, None], [3, 4, 5]).to_pylist() == [4, 6, None]
    assert fleet.call("add", 1, [3]).to_pylist() == [4]
    assert fleet.call(view.reference, [1], [2]).to_pylist() == [3]


def test_registering_again_changes_nothing(fleet):
    first = fleet.register_function("again", add)
    assert fleet.register_function("again", add).version == first.version
    assert fleet.drop_function("again") == [first.reference]
    with pytest.raises(udfleet.FunctionNotFoundError):
        fleet.call("again", 1, 2)


def test_stream_in_order(fleet):
    fleet.register_function("add", add)
    column = pa.array(range(10_000))
    batches = [pa.RecordBatch.from_arrays([column, pa.repeat(pa.scalar(i), 10_000)], ["a", "b"]) for i in range(40)]
    answers = list(fleet.stream("add", batches))
    assert [answer.column(0)[1].as_py() for answer in answers] == [i + 1 for i in range(40)]


def test_exchange_and_open(fleet):
    fleet.register_function("offset", udf(Offset, BIGINT, BIGINT))
    with fleet.exchange("offset") as exchange:
        for i in range(100):
            assert exchange.call(pa.record_batch({"a": [i]})).to_pylist() == [i + 100]


def test_errors_are_typed(fleet):
    def fails(a):
        if a == 2:
            raise ValueError("two is too many")
        return a

    fleet.register_function("fails", udf(fails, BIGINT, BIGINT))
    with pytest.raises(udfleet.UserCodeError) as caught:
        fleet.call("fails", [1, 2, 3])
    error = caught.value
    assert error.exception.type == "ValueError" and error.row == 1
    assert 'raise ValueError("two is too many")' in str(error)
    with pytest.raises(udfleet.FunctionNotFoundError, match="fail") as caught:
        fleet.call("failz", 1)
    assert "fails" in caught.value.hint


def test_executors_and_progress(fleet):
    fleet.register_function("add", add)
    fleet.call("add", 1, 2)
    assert sorted(executor.id for executor in fleet.executors()) == ["executor-1", "executor-2"]
    assert fleet.progress("add").total.function.startswith("add")
    assert {view.function.partition("@")[0] for view in fleet.progress()} >= {"add"}
