"""From a decorator through a coordinator and executors and back."""

from __future__ import annotations

import pyarrow as pa
import pytest

import udfleet
from udfleet import DataTypes, FunctionContext, ScalarFunction, udf, udtf

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


def test_a_declared_function_is_called_as_it_was_registered(fleet):
    declared = udf(lambda a: a + 1, BIGINT, BIGINT)
    batch = pa.record_batch({"a": [1, 2]})
    assert fleet.call(declared, [1, 2]).to_pylist() == [2, 3]
    (inline,) = (view for view in fleet.functions() if view.name.startswith("lambda-") or "lambda" in view.name)
    assert fleet.call(declared, 5).to_pylist() == [6], "registered once"
    view = fleet.register_function("one_more", declared, config={"udfleet.call.timeout": 60_000})
    assert fleet.call(declared, 5).to_pylist() == [6]
    assert [answer.column(0).to_pylist() for answer in fleet.stream(declared, batch)] == [[2, 3]]
    with fleet.exchange(declared) as exchange:
        assert exchange.call(batch).to_pylist() == [2, 3]
    assert fleet.progress("one_more").total.rows == 5 and fleet.progress(inline.name).total.rows == 3
    assert fleet.drop_function("one_more") == [view.reference]
    assert fleet.call(declared, 5).to_pylist() == [6]
    fleet.drop_function(inline.name)
    with pytest.raises(udfleet.InvalidInputError, match="is neither") as caught:
        fleet.call(lambda a: a, [1])
    assert "udf(" in caught.value.hint


def test_the_progress_of_a_table_function_counts_its_input(fleet, capsys):
    @udtf(input_types=[BIGINT], result_types=[BIGINT])
    def repeated(a):
        for _ in range(1000):
            yield a

    fleet.register_function("repeated", repeated)
    for name in ("repeated", repeated):
        list(fleet.stream(name, [pa.record_batch({"a": [1, 2]})], progress=True))
        assert "repeated: 2 of 2 rows, 2,000 results in" in capsys.readouterr().err


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
    with pytest.raises(udfleet.FunctionNotFoundError) as caught:
        fleet.call("failz", 1)
    assert "fails" in caught.value.hint


def test_executors_and_progress(fleet):
    fleet.register_function("add", add)
    fleet.call("add", 1, 2)
    assert sorted(executor.id for executor in fleet.executors()) == ["executor-1", "executor-2"]
    assert fleet.progress("add").total.function.startswith("add")
    assert {view.function.partition("@")[0] for view in fleet.progress()} >= {"add"}
