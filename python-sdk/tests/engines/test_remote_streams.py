"""Streams as clients drive them: what is written and read when, and by how many at once."""

from __future__ import annotations

import queue
import threading

import flight_wire
import grpc
import pyarrow as pa
import pytest
from flight_wire import frames
from pyarrow import flight
from remote_servers import batch, connect, gated

DIALECTS = [flight_wire.arrow_udf, flight_wire.databend, flight_wire.plain]
PATH = flight.FlightDescriptor.for_path


def numbers(*values):
    return batch(a=pa.array(values, pa.int64()))


@pytest.fixture
def gates(tmp_path):
    """Files that do not exist yet: what `gated` waits for."""
    return [tmp_path / f"gate-{number}" for number in range(2)]


@pytest.mark.parametrize("client_of", DIALECTS)
def test_headers_come_before_the_work_does(endpoints, client_of, gates):
    """Clients' timeouts end when headers arrive."""
    for endpoint, gate in zip(endpoints, gates, strict=True):
        with client_of(endpoint) as client:
            call = gated(client, gate)
            gate.touch()
            assert call.finish().column() == [str(gate)]


@pytest.mark.parametrize("client_of", [flight_wire.databend, flight_wire.plain])
def test_an_answer_is_read_before_the_next_batch_is_written(endpoints, client_of):
    for endpoint in endpoints:
        to_write = queue.SimpleQueue()
        with client_of(endpoint) as client:
            first, second, third = frames("picky", numbers(1, 2), numbers(3))
            call = client.open(iter(to_write.get, None))
            for message in (first, second):
                to_write.put(message)
            while not call.answer.batches:
                assert call.next()
            assert call.answer.batches[0].column(0).to_pylist() == [1, 2]
            to_write.put(third)
            while len(call.answer.batches) < 2:
                assert call.next()
            to_write.put(None)
            assert call.finish().column() == [1, 2, 3]


@pytest.mark.parametrize("client_of", DIALECTS)
def test_one_connection_for_each_call(endpoints, client_of):
    for endpoint in endpoints:
        for number in range(40):
            with client_of(endpoint) as client:
                assert client.call("picky", numbers(number, None)).column() == [number, None]


@pytest.mark.parametrize("client_of", DIALECTS)
def test_many_calls_at_once_over_many_connections(endpoints, client_of):
    for endpoint in endpoints:
        results = {}

        def call(number, endpoint=endpoint, results=results):
            with client_of(endpoint) as client:
                rows = range(number * 1000, number * 1000 + 256)
                results[number] = client.call("picky", numbers(*rows)).column() == list(rows)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert results == dict.fromkeys(range(64), True)


def test_pyarrow_writes_all_before_it_reads(endpoints, references):
    sent = [batch(x=pa.array([n, 12], pa.int32()), y=pa.array([12, n], pa.int32())) for n in range(1, 30)]

    def answer(address):
        with connect(address) as client:
            writer, reader = client.do_exchange(PATH("gcd"))
            with writer:
                writer.begin(sent[0].schema)
                for one in sent:
                    writer.write_batch(one)
                writer.done_writing()
                return reader.read_all().column(0).to_pylist()

    theirs = answer(references["arrow-udf"])
    assert len(theirs) == 58 and [answer(endpoint) for endpoint in endpoints] == [theirs] * 2


def test_pyarrow_writes_metadata_alone_and_with_batches(endpoints):
    for endpoint in endpoints:
        with connect(endpoint) as client:
            writer, reader = client.do_exchange(PATH("picky"))
            with writer:
                writer.write_metadata(b"before")
                writer.begin(pa.schema([("a", pa.int64())]))
                writer.write_with_metadata(numbers(1), b"mine")
                writer.write_metadata(b"between")
                writer.write_batch(numbers(2))
                writer.done_writing()
                assert reader.read_all().column(0).to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("function", "kind", "names"),
    [
        ("picky", pa.int64(), ["result"]),
        ("series", pa.int32(), ["row", "result"]),
        ("words", pa.string(), ["row", "word", "length"]),
    ],
)
def test_pyarrow_reads_a_schema_where_nothing_was_sent(endpoints, function, kind, names):
    for endpoint in endpoints:
        with connect(endpoint) as client:
            writer, reader = client.do_exchange(PATH(function))
            with writer:
                writer.begin(pa.schema([("a", kind)]))
                writer.done_writing()
                result = reader.read_all()
        assert result.num_rows == 0 and result.column_names == names


def test_large_batches_go_through_both_ways(endpoints):
    """Pyarrow never splits: one batch is one message, however large."""
    sent = batch(a=["x" * 1000] * 40_000)
    for endpoint in endpoints:
        for client_of in DIALECTS:
            with client_of(endpoint) as client:
                name = "same_varchar" if client_of is flight_wire.arrow_udf else "result"
                assert client.call("same_varchar", sent).table.equals(
                    pa.table({name: sent.column(0)}, pa.schema([pa.field(name, pa.string())]))
                )


@pytest.mark.parametrize("client_of", DIALECTS)
def test_a_client_that_goes_away_leaves_the_function_usable(endpoints, client_of, gates):
    for endpoint, gate in zip(endpoints, gates, strict=True):
        with client_of(endpoint) as client:
            gated(client, gate).cancel()
        gate.touch()
        with client_of(endpoint) as client:
            assert client.call("gated", batch(path=[str(gate)])).column() == [str(gate)]


@pytest.mark.parametrize("client_of", DIALECTS)
def test_wrong_streams_are_the_callers_fault(endpoints, client_of):
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    for endpoint in endpoints:
        with client_of(endpoint) as client:
            answer = client.call("picky", batch(a=["text"]))
            assert answer.code is invalid and "column 0" in answer.details
            answer = client.call("picky", batch(a=pa.array([1]), b=pa.array([1])))
            assert answer.code is invalid and "2 in place of 1" in answer.details
            answer = client.open(iter(frames("picky", numbers(1))[1:])).finish()
            assert answer.code is invalid and "schema" in answer.details
            answer = client.open(iter(())).finish()
            assert answer.code is invalid and "descriptor" in answer.details
            answer = client.call("no_such_function", numbers(1))
            assert answer.code is grpc.StatusCode.NOT_FOUND and "no_such_function" in answer.details


@pytest.mark.parametrize("kind", ["boolean", "row", "decimal"])
def test_columns_of_nulls(endpoints, kind):
    for endpoint in endpoints:
        for client_of in DIALECTS:
            with client_of(endpoint) as client:
                answer = client.call(f"same_{kind}", batch(a=pa.nulls(3)))
                assert answer.column() == [None] * 3
                assert answer.schema.field(0) == client.info(f"same_{kind}").schema.field(1)
