"""The listener for engines that can send neither TLS nor tokens."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import urllib.request

import flight_wire
import grpc
import pyarrow as pa
import pytest
import remote_servers
from databend_udf.client import UDFClient
from fleet_support import eventually
from flight_wire import FlightData, FlightDescriptor, messages_of
from remote_servers import batch

import udfleet
from udfleet._local import binaries
from udfleet._local.process import Child

NUMBERS = batch(a=pa.array([1, None], pa.int64()))


@contextlib.contextmanager
def reserved_address():
    """An address that nobody else is given meanwhile. Who asks for this very one may listen: this socket does not."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(scope="module")
def guarded():
    """A fleet with a token, and its coordinator's open listener."""
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(reserved_address())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("UDFLEET_ENGINE_LISTEN", address)
            running = stack.enter_context(remote_servers.endpoints(token=secrets.token_hex(8)))
        yield running, address


def test_engines_call_without_a_token(guarded):
    _, open_endpoint = guarded
    for client_of in (flight_wire.arrow_udf, flight_wire.databend, flight_wire.plain):
        with client_of(open_endpoint) as client:
            assert client.call("picky", NUMBERS).column() == [1, None]
            assert client.info("picky").total_records == 1
            assert not client.info("picky").endpoints
            with pytest.raises(grpc.RpcError, match="does not list"):
                list(client.flights())
            assert client.action("protocol_version") == [b"\x02"] and client.actions()
    host, port = open_endpoint.split(":")
    client = UDFClient(host=host, port=int(port))
    with client.client:
        assert client.health_check() and client.echo("x") == "x"
        assert client.call_function("gcd", 12, 18) == [6]


def test_every_other_listener_asks_for_the_token(guarded):
    fleet, _ = guarded
    for endpoint in fleet:
        with flight_wire.plain(endpoint) as client:
            assert client.call("picky", NUMBERS).code is grpc.StatusCode.UNAUTHENTICATED
            with pytest.raises(grpc.RpcError) as caught:
                client.info("picky")
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with flight_wire.Wire(endpoint, headers={"authorization": f"Bearer {fleet.processes.token}"}) as client:
            assert client.call("picky", NUMBERS).column() == [1, None]


def test_an_executor_has_one_too(guarded, tmp_path):
    fleet, _ = guarded
    (tmp_path / "token").write_text(fleet.processes.token)
    anywhere = "127.0.0.1:0"
    command = [str(binaries.find_program(binaries.EXECUTOR)), "--coordinator", fleet.processes.address]
    command += ["--listen", anywhere, "--http-listen", anywhere, "--engine-listen", anywhere, "--id", "open"]
    command += ["--token-file", str(tmp_path / "token"), "--work-dir", str(tmp_path / "work")]
    command += ["--uv", binaries.find_uv() or "uv", "--interpreters-per-environment", "1"]
    child = Child("open", command, tmp_path / "log")
    try:
        ready = child.wait_ready(30)
        with flight_wire.databend(ready["engine"], tenant="t-two") as client:
            eventually("it serves", lambda: client.call("picky", NUMBERS).code is grpc.StatusCode.OK)
            assert client.call("picky", NUMBERS).column() == [1, None]
        with flight_wire.databend(ready["grpc"]) as client:
            assert client.call("picky", NUMBERS).code is grpc.StatusCode.UNAUTHENTICATED
        with urllib.request.urlopen(f"http://{ready['http']}/metrics") as response:
            assert re.search(r'udfleet_\w*engine_calls_total{[^}]*tenant="t-two"', response.read().decode())
    finally:
        child.terminate()
        child.reap()


def test_nothing_but_calls_goes_through_it(guarded):
    running, address = guarded
    with flight_wire.plain(address) as client:
        assert client.action("protocol_version") == [b"\x02"]
    for token in (None, running.processes.token):
        with udfleet.Fleet(address, token) as fleet:
            for use in (fleet.check, fleet.functions, lambda fleet=fleet: fleet.drop_function("picky")):
                with pytest.raises(udfleet.InternalError, match="UNIMPLEMENTED"):
                    use()
    assert "picky" in [function.name for function in running.fleet.functions()]


def test_commands_of_the_sdk_are_refused(guarded):
    schema, *batches = messages_of(NUMBERS.schema, [NUMBERS])
    with flight_wire.plain(guarded[1]) as client:
        command = FlightDescriptor(type=2, cmd=b"udfleet.v1.ExchangeRequest\0\n\x05picky")
        answer = client.open(iter([FlightData(flight_descriptor=command), schema, *batches])).finish()
    assert answer.code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE) and not answer.batches


@pytest.mark.parametrize("program", [binaries.COORDINATOR, binaries.EXECUTOR])
def test_it_is_off_unless_configured_and_refuses_other_addresses(program, tmp_path):
    binary = binaries.find_program(program)
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("UDFLEET_")}

    def run(*options):
        where = ["--data-dir", str(tmp_path)] if program == binaries.COORDINATOR else ["--work-dir", str(tmp_path)]
        peer = [] if program == binaries.COORDINATOR else ["--coordinator", "127.0.0.1:1"]
        command = [str(binary), "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", *where, *peer, *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)

    shown = run("--dump-config")
    assert shown.returncode == 0 and 'engine_listen = "' not in shown.stdout
    shown = run("--engine-listen", "127.0.0.1:8899", "--dump-config")
    assert 'engine_listen = "127.0.0.1:8899"' in shown.stdout, shown.stderr
    refusal = run("--engine-listen", "0.0.0.0:0")
    assert refusal.returncode != 0 and "insecure_non_loopback" in refusal.stderr.replace("-", "_")
    assert not refusal.stdout or "grpc" not in json.loads(refusal.stdout.splitlines()[0])
