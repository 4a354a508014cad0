"""Databend's own Python client, unmodified, gets the same answers from databend-udf and from a fleet."""

from __future__ import annotations

import datetime
import decimal

import pyarrow as pa
import pytest
from databend_udf.client import UDFClient
from pyarrow import flight
from remote_comparison import shape

from udfleet import InvalidDefinitionError, udf


def client_of(address):
    host, port = address.split(":")
    return UDFClient(host=host, port=int(port))


@pytest.fixture(params=["databend-udf", "coordinator", "executor"])
def client(request, references, endpoints):
    """What holds for the first holds for all."""
    opened = client_of({**references, **endpoints.addresses}[request.param])
    with opened.client:
        yield opened


def test_health_and_echo(client):
    assert client.health_check()
    for text in ("hello", "", "grüße \U0001f600"):
        assert client.echo(text) == text
    assert client.list_functions() == ["builtin_echo", "builtin_healthy"]
    assert client.call_function("builtin_echo", ["a", None, "c"]) == ["a", None, "c"]


def test_built_in_signatures(references, endpoints):
    theirs = client_of(references["databend-udf"])
    for endpoint in endpoints:
        ours = client_of(endpoint)
        for name in theirs.list_functions():
            expected, found = theirs.get_function_info(name).schema, ours.get_function_info(name).schema
            assert [field.type for field in found] == [field.type for field in expected]
            assert [field.nullable for field in found] == [field.nullable for field in expected]
            assert found.metadata[b"x-databend-udf-input-count"] == expected.metadata[b"x-databend-udf-input-count"]
        ours.client.close()
    theirs.client.close()


def test_built_ins_need_no_interpreter(endpoints):
    before = endpoints.fleet.functions()
    for endpoint in endpoints:
        with client_of(endpoint).client as client:
            assert client.get_flight_info(flight.FlightDescriptor.for_path("builtin_healthy")).total_records == 0
    assert endpoints.fleet.functions() == before and not [f for f in before if f.name.startswith("builtin_")]


@pytest.mark.parametrize("name", ["builtin_echo", "builtin_mine"])
def test_names_of_built_ins_are_taken(endpoints, name):
    with pytest.raises(InvalidDefinitionError, match="builtin_"):
        endpoints.fleet.register_function(name, udf(lambda a: a, "STRING", "STRING"))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("gcd", (12, 18), [6]),
        ("gcd", ([12, 7], [18, 21]), [6, 7]),
        ("joined", (["a", None], [1, 2], [True, None]), ["a/1/True", None]),
        ("joined", ("a", None, None), ["a/None/None"]),
        ("fortytwo", (), [42]),
        ("cents", ([decimal.Decimal("1.10"), None],), [decimal.Decimal("3.30"), None]),
        ("same_date", (datetime.date(2026, 1, 2),), [datetime.date(2026, 1, 2)]),
        ("same_bytes", ([b"\x00\xff", None],), [b"\x00\xff", None]),
        ("same_array", ([[1, None], None, []],), [[1, None], None, []]),
    ],
)
def test_calls(client, name, arguments, expected):
    assert client.call_function(name, *arguments) == expected


def test_calls_by_name(client):
    names = client.get_function_info("gcd").schema.names[:2]
    assert client.call_function_batch("gcd", **dict(zip(names, ([12, 7], [18, 21])))) == [6, 7]
    assert client.call_function_batch("fortytwo") == [42]


def test_headers_of_databend(client):
    headers = {"x-databend-tenant": "t1", "x-databend-query-id": "q1", "x-databend-function": "GCD"}
    assert client.call_function("gcd", 12, 18, headers=headers) == [6]
    assert client.call_function("words", "one three", headers=headers) == [
        {"word": "one", "length": 3},
        {"word": "three", "length": 5},
    ]
    mapping = [{"param_name": "stage", "relative_path": "a/", "stage_info": {"stage_name": "s"}}]
    assert client.call_function("gcd", 12, 18, headers=headers, stage_locations=mapping) == [6]


def test_errors(client):
    with pytest.raises(pa.ArrowInvalid, match="-7 is negative"):
        client.call_function("picky", [1, -7])
    assert client.call_function("picky", [1, None]) == [1, None], "the client can still be used"
    # databend-udf raises ValueError here, which pyarrow's server sends as INVALID_ARGUMENT; NOT_FOUND is Flight's word.
    with pytest.raises((pa.ArrowInvalid, pa.ArrowKeyError), match="no_such_function"):
        client.get_function_info("no_such_function")


@pytest.mark.parametrize(
    "sent",
    [
        pa.array(["a", None, "c"], pa.string_view()),
        pa.array(["a", None, "c"], pa.large_string()),
        pa.array(["a", None, "c"]).dictionary_encode(),
    ],
    ids=lambda sent: str(sent.type),
)
def test_layouts_of_text_that_databend_sends(endpoints, sent):
    """VARCHAR arrives as views, whatever was declared."""
    for endpoint in endpoints:
        with client_of(endpoint).client as client:
            writer, reader = client.do_exchange(flight.FlightDescriptor.for_path("same_varchar"))
            with writer:
                writer.begin(pa.schema([("arg1", sent.type)]))
                writer.write_batch(pa.record_batch([sent], names=["arg1"]))
                writer.done_writing()
                result = reader.read_all()
        assert result.column(0).to_pylist() == ["a", None, "c"]
        assert shape(result.schema.field(0)) == shape(pa.field("", pa.string()))


def variant(values):
    field = pa.field("arg1", pa.large_binary(), metadata={"Extension": "Variant"})
    return pa.record_batch([pa.array(values, pa.large_binary())], schema=pa.schema([field]))


NESTED = {
    "ARRAY(INT NOT NULL)": ("same_array", pa.list_(pa.field("item", pa.int32(), False)), [[1, 2], None, []]),
    "a large list": ("same_array", pa.large_list(pa.int32()), [[1, None], None, []]),
    "a list of fixed size": ("same_array", pa.list_(pa.int32(), 2), [[1, None], None]),
    "a view of a list": ("same_array", pa.list_view(pa.int32()), [[1, None], None, []]),
    "TUPLE(INT, VARCHAR)": (
        "same_row",
        pa.struct([pa.field("1", pa.int32(), False), pa.field("2", pa.string_view(), False)]),
        [{"1": 1, "2": "x"}],
    ),
    "MAP with keys as views": (
        "same_map",
        pa.map_(pa.string_view(), pa.field("value", pa.int32(), False)),
        [[("a", 1)], None, []],
    ),
    "BINARY": ("same_bytes", pa.large_binary(), [b"\x00", None]),
    "BINARY as views": ("same_bytes", pa.binary_view(), [b"\x00", None]),
    "TIMESTAMP in ms": ("same_timestamp", pa.timestamp("ms"), [datetime.datetime(2026, 1, 2, 3, 4, 5, 678_000), None]),
    "TIME in s": ("same_time", pa.time32("s"), [datetime.time(3, 4, 5), None]),
    "a wide decimal": ("same_decimal", pa.decimal256(50, 5), [decimal.Decimal("1.00000"), None]),
}


@pytest.mark.parametrize("kind", NESTED)
def test_inputs_by_position_and_family(endpoints, kind):
    """Names of columns and fields, layouts and nullability of parts are the engine's own affair."""
    function, data_type, values = NESTED[kind]
    sent = pa.record_batch([pa.array(values, data_type)], schema=pa.schema([pa.field("any name", data_type)]))
    for endpoint in endpoints:
        with client_of(endpoint).client as client:
            descriptor = flight.FlightDescriptor.for_path(function)
            declared = client.get_flight_info(descriptor).schema.field(1)
            writer, reader = client.do_exchange(descriptor)
            with writer:
                writer.begin(sent.schema)
                writer.write_batch(sent)
                writer.done_writing()
                result = reader.read_all()
        assert result.schema.field(0) == declared, "results carry exactly the declared type"
        assert by_position(result.column(0).to_pylist()) == by_position(values)


def by_position(values):
    return [list(value.values()) if isinstance(value, dict) else value for value in values]


def test_variant_is_taken_as_text(endpoints):
    values = [b'{"a": [1, null]}', None]
    for endpoint in endpoints:
        with client_of(endpoint).client as client:
            writer, reader = client.do_exchange(flight.FlightDescriptor.for_path("same_varchar"))
            with writer:
                sent = variant(values)
                writer.begin(sent.schema)
                writer.write_batch(sent)
                writer.done_writing()
                assert reader.read_all().column(0).to_pylist() == ['{"a": [1, null]}', None]
