"""What the fleet tells of its functions is what the servers of arrow-udf and databend-udf tell."""

from __future__ import annotations

import datetime

import flight_wire
import grpc
import pyarrow as pa
import pytest
from remote_comparison import shapes
from remote_functions import FUNCTIONS
from remote_servers import AS_CLIENT_OF, DECIMAL_TEXT, connect, given, serves

import udfleet
from udfleet import udf

SERVED = [(name, function) for name in AS_CLIENT_OF for function in FUNCTIONS if serves(name, function)]


@pytest.mark.parametrize(("name", "function"), SERVED)
def test_get_flight_info(references, endpoints, name, function):
    with AS_CLIENT_OF[name](references[name]) as client:
        theirs = client.info(function)
    inputs = len(FUNCTIONS[function].types.udfleet[0])
    for endpoint in endpoints:
        with AS_CLIENT_OF[name](endpoint) as client:
            ours = client.info(function)
        assert shapes(ours.schema) == shapes(theirs.schema)
        assert ours.descriptor.path == [function.encode()]
        # databend-udf gives the number of all columns, which Databend ignores and RisingWave does not.
        assert ours.total_records == inputs
        assert ours.schema.metadata[b"x-databend-udf-input-count"] == str(inputs).encode()


def test_list_flights(references, endpoints):
    """databend-udf has none."""
    with flight_wire.arrow_udf(references["arrow-udf"]) as client:
        theirs = {info.descriptor.path[0]: info for info in client.flights()}
    for endpoint in endpoints:
        with flight_wire.arrow_udf(endpoint) as client:
            ours = {info.descriptor.path[0]: info for info in client.flights()}
        assert theirs.keys() <= ours.keys()
        for function, info in theirs.items():
            assert shapes(ours[function].schema) == shapes(info.schema)
            assert ours[function].total_records == info.total_records
            # The value's name is the function's; the Python server has names of its own for arguments.
            assert ours[function].schema[-1].name == info.schema[-1].name == function.decode()


def test_actions(references, endpoints):
    with flight_wire.plain(references["arrow-udf"]) as client:
        theirs = client.action("protocol_version")
    for endpoint in endpoints:
        with flight_wire.plain(endpoint) as client:
            assert client.action("protocol_version") == theirs == [b"\x02"]
            assert set(client.actions()) == {"protocol_version"}
            with pytest.raises(grpc.RpcError) as caught:
                client.action("no_such_action")
            assert "no_such_action" in caught.value.details()


def test_decimals_are_text_for_risingwave_alone(endpoints):
    for endpoint in endpoints:
        with flight_wire.arrow_udf(endpoint) as client:
            for field in client.info("cents").schema:
                assert field.type == pa.string() and field.metadata[b"ARROW:extension:name"] == DECIMAL_TEXT
        for other in (flight_wire.databend, flight_wire.plain):
            with other(endpoint) as client:
                assert client.info("cents").schema.types == [pa.decimal128(10, 2), pa.decimal128(12, 2)]


def test_risingwave_has_its_own_name_for_utc(endpoints):
    """Its TIMESTAMPTZ is compared with the signature by name of the zone."""
    endpoints.fleet.register_function("same_timestamptz", udf(lambda a: a, "TIMESTAMP_LTZ(6)", "TIMESTAMP_LTZ(6)"))
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=datetime.timezone.utc)
    for endpoint in endpoints:
        for client_of, zone in [(flight_wire.arrow_udf, "+00:00"), (flight_wire.plain, "UTC")]:
            with client_of(endpoint) as client:
                argument, result = client.info("same_timestamptz").schema
                assert [argument.type, result.type] == [pa.timestamp("us", zone)] * 2
                answer = client.call("same_timestamptz", given(argument, [moment, None]))
                assert answer.schema == pa.schema([result]) and answer.column() == [moment, None]


@pytest.mark.parametrize(("dialect", "text"), [("arrow-udf", True), ("databend", False), ("plain", False)])
def test_a_header_names_the_dialect(endpoints, dialect, text):
    """For what stands behind a proxy, which shares connections."""
    for endpoint in endpoints:
        asked_before = dialect != "arrow-udf"
        with flight_wire.Wire(endpoint, version=asked_before, headers={"x-udfleet-dialect": dialect}) as client:
            assert pa.types.is_string(client.info("cents").schema.field(0).type) == text


def test_parts_of_types_are_nullable_unless_declared_otherwise(endpoints):
    endpoints.fleet.register_function("strict", udf(lambda a: a, "ARRAY<INT NOT NULL> NOT NULL", "ARRAY<INT>"))
    for endpoint in endpoints:
        with flight_wire.plain(endpoint) as client:
            argument, result = client.info("strict").schema
            assert not argument.nullable and not argument.type.value_field.nullable
            assert result.nullable and result.type.value_field.nullable


def test_unknown_functions(endpoints):
    for endpoint in endpoints:
        for client in (flight_wire.arrow_udf(endpoint), flight_wire.databend(endpoint), flight_wire.plain(endpoint)):
            with client, pytest.raises(grpc.RpcError, match="gcf") as caught:
                client.info("gcf")
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            with pytest.raises(udfleet.FunctionNotFoundError, match="gcd"):
                endpoints.fleet.function("gcf")


def test_pyarrows_client_reads_it(endpoints):
    for endpoint in endpoints:
        with connect(endpoint) as client:
            client.wait_for_available(timeout=10)
            assert {b"gcd", b"words"} <= {info.descriptor.path[0] for info in client.list_flights()}
            assert [kind.type for kind in client.list_actions()] == ["protocol_version"]
            (version,) = client.do_action("protocol_version")
            assert version.body.to_pybytes() == b"\x02"
