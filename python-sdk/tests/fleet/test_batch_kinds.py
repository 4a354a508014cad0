"""Batches of every size and layout."""

from __future__ import annotations

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, failure_of

import udfleet
from udfleet import udf

MIB = 1 << 20


@pytest.fixture(params=[True, False], ids=["direct", "through the coordinator"])
def client(fleet, request):
    with udfleet.connect(fleet.address, fleet.token, direct=request.param) as connected:
        yield connected


@pytest.fixture(scope="module")
def size(fleet):
    return fleet.register_function("size", udf(lambda a: len(a), STRING, BIGINT)).name


@pytest.fixture(scope="module")
def same(fleet):
    """Arrow functions for large data: nothing is done per row."""
    return fleet.register_function("same", udf(lambda a: a, BIGINT, BIGINT, func_type="arrow")).name


def whole(client, name, batch):
    """One batch in one piece, past the SDK's slicing."""
    with client.exchange(name) as exchange:
        return exchange.call(batch)


def test_64_mib_in_one_piece(client, same):
    column = pa.array(range(8 * MIB), pa.int64())
    batch = pa.record_batch({"a": column})
    assert batch.nbytes == 64 * MIB
    assert whole(client, same, batch).equals(column)
    assert whole(client, same, batch.slice(5, 3)).to_pylist() == [5, 6, 7], "and the stream's next is small"


def test_64_mib_sliced(client, same):
    column = pa.array(range(8 * MIB), pa.int64())
    (answer,) = client.stream(same, [pa.record_batch({"a": column})])
    assert answer.column(0).equals(column)


def test_few_rows_of_64_mib(client, size):
    text = "x" * (16 * MIB)
    (answer,) = client.stream(size, [pa.record_batch({"a": [text] * 4})])
    assert answer.column(0).to_pylist() == [len(text)] * 4


@pytest.mark.parametrize("rows", [0, 1])
def test_small_batches_between_others(client, size, rows):
    given = [["a", "bb"], [""] * rows, [], ["ccc"]]
    answers = client.stream(size, [pa.record_batch({"a": pa.array(texts, pa.string())}) for texts in given])
    assert [answer.column(0).to_pylist() for answer in answers] == [[len(t) for t in texts] for texts in given]


@pytest.mark.parametrize("func_type", ["general", "pandas", "arrow"])
def test_no_rows_and_no_batches(client, func_type):
    name = f"nothing_{func_type}"
    client.register_function(name, udf(lambda a: a, BIGINT, BIGINT, func_type=func_type))
    assert list(client.stream(name, [])) == []
    empty = client.call(name, [])
    assert len(empty) == 0 and empty.type == pa.int64()
    (answer,) = client.stream(name, [pa.record_batch({"a": pa.array([], pa.int64())})])
    assert answer.num_rows == 0 and answer.schema.types == [pa.int64()]


def test_rows_without_columns(client):
    client.register_function("answer", udf(lambda: 42, [], BIGINT))
    assert client.call("answer").to_pylist() == [42]
    assert client.call("answer", rows=3).to_pylist() == [42] * 3
    batch = pa.RecordBatch.from_struct_array(pa.array([{}] * 5, pa.struct([])))
    (answer,) = client.stream("answer", [batch])
    assert answer.column(0).to_pylist() == [42] * 5


@pytest.mark.parametrize(
    "layout",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
    ids=str,
)
def test_layouts_of_text(client, size, layout):
    texts = ["", "é", "a text longer than twelve bytes", None, "é"]
    batch = pa.record_batch({"a": pa.array(texts).drop_null().cast(layout)})
    answers = list(client.stream(size, [batch, batch.slice(1, 2)]))
    assert [answer.column(0).to_pylist() for answer in answers] == [[0, 1, 31, 1], [1, 31]]


def test_dictionaries_that_change_between_batches(client, size):
    layout = pa.dictionary(pa.int8(), pa.string())
    given = [["a", "bb", "a"], ["ccc", "a"], ["ccc"], ["dddd", "bb"]]
    batches = [pa.record_batch({"a": pa.array(texts, layout)}) for texts in given]
    answers = client.stream(size, batches)
    assert [answer.column(0).to_pylist() for answer in answers] == [[len(t) for t in texts] for texts in given]


def test_untyped_functions_see_what_was_sent(client):
    client.register_function("kind", udf(lambda a: type(a).__name__, None, STRING))
    for column, kind in [
        (pa.array(["x"], pa.string_view()), "str"),
        (pa.array(["x"]).dictionary_encode(), "str"),
        (pa.array([{"a": 1}]), "Row"),
        (pa.array([[1]]), "list"),
        (pa.array([1.5]), "float"),
    ]:
        assert client.call("kind", column).to_pylist() == [kind]


def test_nested(client):
    def totals(row, names):
        return {"total": sum(row.items.values()), "names": sorted(names)}

    inputs = ["ROW<id BIGINT, items MAP<STRING, BIGINT>>", "ARRAY<STRING>"]
    client.register_function("totals", udf(totals, inputs, "ROW<total BIGINT, names ARRAY<STRING>>"))
    rows = pa.array(
        [{"id": 1, "items": [("a", 2), ("b", 3)]}, {"id": 2, "items": []}],
        pa.struct([("id", pa.int64()), ("items", pa.map_(pa.string(), pa.int64()))]),
    )
    answer = client.call("totals", rows, pa.array([["z", "y"], []], pa.list_(pa.string())))
    assert answer.to_pylist() == [{"total": 5, "names": ["y", "z"]}, {"total": 0, "names": []}]


def test_nulls_everywhere(client):
    client.register_function("is_none", udf(lambda a: a is None, STRING, "BOOLEAN"))
    for column in (pa.nulls(3, pa.string()), pa.nulls(3, pa.large_string()), pa.nulls(3)):
        assert client.call("is_none", column).to_pylist() == [True] * 3


def test_beyond_the_frame_limit(client, size):
    rows = ["x" * (16 * MIB)] * 17
    error = failure_of(udfleet.LimitExceededError, client.call, size, rows)
    assert error.code == "LIMIT_EXCEEDED" and not error.retryable
    assert "frame limit" in str(error) and str(256 * MIB) in str(error) and "fewer rows" in error.hint


def test_a_result_beyond_the_frame_limit(client):
    client.register_function("blow_up", udf(lambda a: "x" * a, BIGINT, STRING))
    error = failure_of(udfleet.LimitExceededError, client.call, "blow_up", [64 * MIB] * 5)
    assert "frame limit of 268435456 bytes" in str(error) and error.function.startswith("blow_up@")
    assert len(client.call("blow_up", [64 * MIB])[0].as_py()) == 64 * MIB
