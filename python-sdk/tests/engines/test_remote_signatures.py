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
def test_get_flight_info(references, doors, name, function):
    with AS_CLIENT_OF[name](references[name]) as client:
        theirs = client.info(function)
    inputs = len(FUNCTIONS[function].types.udfleet[0])
    for door in doors:
        with AS_CLIENT_OF[name](door) as client:
            ours = client.info(function)
        assert shapes(ours.schema) == shapes(theirs.schema)
        assert ours.descriptor.path == [function.encode()]
        # databend-udf gives the number of all columns, which Databend ignores and RisingWave does not.
        assert ours.total_records == inputs
        assert ours.schema.metadata[b"x-databend-udf-input-count"] == str(inputs).encode()


def test_list_flights(references, doors):
    """databend-udf has none."""
    with flight_wire.arrow_udf(references["arrow-udf"]) as client:
        theirs = {info.descriptor.path[0]: info for info in client.flights()}
    for door in doors:
        with flight_wire.arrow_udf(door) as client:
            ours = {info.descriptor.path[0]: info for info in client.flights()}
        assert theirs.keys() <= ours.keys()
        for function, info in theirs.items():
            assert shapes(ours[function].schema) == shapes(info.schema)
            assert ours[function].total_records == info.total_records


def test_actions(references, doors):
    with flight_wire.plain(references["arrow-udf"]) as client:
        theirs = client.action("protocol_version")
    for door in doors:
        with flight_wire.plain(door) as client:
            assert client.action("protocol_version") == theirs == [b"\x02"]
            assert set(client.actions()) == {"protocol_version"}
            with pytest.raises(grpc.RpcError) as caught:
                client.action("no_such_action")
            assert "no_such_action" in caught.value.details()


def test_decimals_are_text_for_risingwave_alone(doors):
    for door in doors:
        with flight_wire.arrow_udf(door) as client:
            for field in client.info("cents").schema:
                assert field.type == pa.string() and field.metadata[b"ARROW:extension:name"] == DECIMAL_TEXT
        for other in (flight_wire.databend, flight_wire.plain):
            with other(door) as client:
                assert client.info("cents").schema.types == [pa.decimal128(10, 2), pa.decimal128(12, 2)]


def test_risingwave_has_its_own_name_for_utc(doors):
    """Its TIMESTAMPTZ is compared with the signature by name of the zone."""
    doors.fleet.register_function("same_timestamptz", udf(lambda a: a, "TIMESTAMP_LTZ(6)", "TIMESTAMP_LTZ(6)"))
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=datetime.timezone.utc)
    for door in doors:
        for client_of, zone in [(flight_wire.arrow_udf, "+00:00"), (flight_wire.plain, "UTC")]:
            with client_of(door) as client:
                argument, result = client.info("same_timestamptz").schema
                assert [argument.type, result.type] == [pa.timestamp("us", zone)] * 2
                answer = client.call("same_timestamptz", given(argument, [moment, None]))
                assert answer.schema == pa.schema([result]) and answer.column() == [moment, None]


@pytest.mark.parametrize(("dialect", "text"), [("arrow-udf", True), ("databend", False), ("plain", False)])
def test_a_header_names_the_dialect(doors, dialect, text):
    """For what stands behind a proxy, which shares connections."""
    for door in doors:
        asked_before = dialect != "arrow-udf"
        with flight_wire.Wire(door, version=asked_before, headers={"x-udfleet-dialect": dialect}) as client:
            assert pa.types.is_string(client.info("cents").schema.field(0).type) == text


def test_parts_of_types_are_nullable_unless_declared_otherwise(doors):
    doors.fleet.register_function("strict", udf(lambda a: a, "ARRAY<INT NOT NULL> NOT NULL", "ARRAY<INT>"))
    for door in doors:
        with flight_wire.plain(door) as client:
            argument, result = client.info("strict").schema
            assert not argument.nullable and not argument.type.value_field.nullable
            assert result.nullable and result.type.value_field.nullable


def test_unknown_functions(doors):
    for door in doors:
        for client in (flight_wire.arrow_udf(door), flight_wire.databend(door), flight_wire.plain(door)):
            with client, pytest.raises(grpc.RpcError, match="gcf") as caught:
                client.info("gcf")
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            with pytest.raises(udfleet.FunctionNotFoundError, match="gcd"):
                doors.fleet.function("gcf")


def test_pyarrows_client_reads_it(doors):
    for door in doors:
        with connect(door) as client:
            client.wait_for_available(timeout=10)
            assert {b"gcd", b"words"} <= {info.descriptor.path[0] for info in client.list_flights()}
            assert [kind.type for kind in client.list_actions()] == ["protocol_version"]
            (version,) = client.do_action("protocol_version")
            assert version.body.to_pybytes() == b"\x02"
