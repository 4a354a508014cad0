"""What all engine adapters share: one version of a function, called with columns from any thread over kept streams."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, count_streams, eventually, failure_of

import udfleet
from udfleet import udf
from udfleet._client import pool
from udfleet.engines._function import EngineFunction


@pytest.fixture(scope="module")
def fleet(fleet):
    def picky(a):
        if a == 25_000:
            raise ValueError("too many")
        return a

    fleet.register_function("shouted", udf(lambda s: None if s is None else s.upper(), STRING, STRING))
    fleet.register_function("picky", udf(picky, BIGINT, BIGINT))
    fleet.register_function("nothing", udf(lambda: 7, [], BIGINT))
    fleet.register_function("strict", udf(lambda a: a, udfleet.DataTypes.BIGINT().not_null(), BIGINT))
    return fleet


@pytest.mark.parametrize(
    "arrow",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.null()],
    ids=str,
)
def test_text_in_every_layout(fleet, arrow):
    shouted = EngineFunction(fleet, "shouted", "An engine")
    values = [None] * 3 if pa.types.is_null(arrow) else ["a", None, "b"]
    column = pa.chunked_array([pa.array(values, arrow), pa.array(values[:1], arrow)])
    answer = shouted([column])
    assert answer.type == pa.string()
    assert answer.to_pylist() == [None if v is None else v.upper() for v in [*values, values[0]]]


def test_empty_columns_and_no_columns(fleet):
    shouted, nothing = (EngineFunction(fleet, name, "An engine") for name in ("shouted", "nothing"))
    assert shouted([pa.array([], pa.string())]).to_pylist() == []
    assert shouted([pa.chunked_array([], pa.string())]).type == pa.string()
    assert nothing([], rows=3).to_pylist() == [7, 7, 7]
    assert nothing([], rows=0).to_pylist() == []


def test_a_column_is_streamed_in_batches_and_errors_count_its_rows(fleet):
    picky = EngineFunction(fleet, "picky", "An engine")
    before = fleet.progress("picky").total.calls
    assert picky([pa.chunked_array([pa.array(range(24_000))])]).to_pylist() == list(range(24_000))
    eventually("10,000 rows a call", lambda: fleet.progress("picky").total.calls == before + 3)
    error = failure_of(udfleet.UserCodeError, picky, [pa.array(range(30_000))])
    assert (error.row, error.function) == (25_000, "picky@1")
    assert EngineFunction(fleet, "picky", "An engine", "null")([pa.array([25_000, 1])]).to_pylist() == [None, 1]


def test_wrong_columns_and_nulls_where_none_may_be(fleet):
    picky, strict = (EngineFunction(fleet, name, "An engine") for name in ("picky", "strict"))
    failure_of(udfleet.InvalidInputError, picky, [pa.array(["a"])])
    error = failure_of(udfleet.InvalidInputError, strict, [pa.array([1, None])])
    assert error.row == 1
    refused = failure_of(udfleet.InvalidDefinitionError, picky.check, [pa.string()])
    assert refused.message.startswith("An engine can't call it: column 0 has the wrong type")
    picky.check([pa.int32()])


def test_no_such_on_error(fleet):
    with pytest.raises(udfleet.InvalidInputError, match="one of fail, null, skip, not 'nul'"):
        EngineFunction(fleet, "picky", "An engine", "nul")


def test_threads_share_streams(fleet, monkeypatch):
    opened = count_streams(monkeypatch)
    with udfleet.connect(fleet.address, fleet.token) as client, ThreadPoolExecutor(4) as threads:
        picky = EngineFunction(client, "picky", "An engine")
        answers = list(threads.map(lambda index: picky([pa.array([index])]).to_pylist(), range(400)))
    assert answers == [[index] for index in range(400)]
    # Four at a time, to two executors.
    assert 0 < len(opened) <= 8


def test_a_stream_is_closed_when_its_time_is_over(fleet, monkeypatch):
    opened = count_streams(monkeypatch)
    monkeypatch.setattr(pool, "STREAM_SECONDS", 0.05)
    with udfleet.connect(fleet.address, fleet.token) as client:
        picky = EngineFunction(client, "picky", "An engine")
        picky([pa.array([1])])
        eventually("closed", lambda: not client._pool._idle)
        picky([pa.array([1])])
        assert len(opened) == 2


def test_a_draining_executor_is_left_by_idle_streams(monkeypatch):
    monkeypatch.setattr(pool, "STREAM_SECONDS", 0.2)
    with udfleet.local(executors=2, interpreters=1) as own:
        own.register_function("one", udf(lambda a: 1, BIGINT, BIGINT))
        one = EngineFunction(own, "one", "An engine")
        columns = [pa.array(range(100_000))]
        one(columns)
        own.drain("executor-1")
        eventually("drained", lambda: {e.id: e.state for e in own.executors()}["executor-1"] == "drained")
        assert one(columns).to_pylist() == [1] * 100_000


def test_a_closed_fleet_says_so(fleet):
    with udfleet.connect(fleet.address, fleet.token) as client:
        picky = EngineFunction(client, "picky", "An engine")
        picky([pa.array([1])])
    error = failure_of(udfleet.UnreachableError, picky, [pa.array([1])])
    assert error.hint == "connect again"


def test_dropped_means_dropped(fleet):
    fleet.register_function("short_lived", udf(lambda a: a, BIGINT, BIGINT))
    short_lived = EngineFunction(fleet, "short_lived", "An engine")
    assert short_lived([pa.array([1])]).to_pylist() == [1]
    fleet.drop_function("short_lived")
    failure_of(udfleet.FunctionNotFoundError, short_lived, [pa.array([1])])
