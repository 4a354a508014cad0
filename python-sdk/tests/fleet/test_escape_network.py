"""Functions connect to what `udfleet.network` allows, and to nothing else, however they try."""

from __future__ import annotations

import socket
import textwrap
from collections.abc import Iterator

import pytest
from fleet_support import STRING, failure_of
from test_escape import attempt

import udfleet
from udfleet import udf

FAST_OPEN = 0x20000000
MPTCP = 262


@pytest.fixture(scope="module")
def listener() -> Iterator[int]:
    """A port on which connections are accepted, over TCP and with the first packet."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def other() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def networks(listener: int) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=1, interpreters=1) as fleet:
        for name, network in (("anywhere", "all"), ("nowhere", "none"), ("one_port", str(listener))):
            fleet.register_function(name, attempt, config={"udfleet.network": network})
        yield fleet


def told(fleet: udfleet.LocalFleet, function: str, code: str) -> str:
    return str(fleet.call(function, [textwrap.dedent(code)]).to_pylist()[0])


def connect(port: int) -> str:
    return f"import socket; result = socket.create_connection(('127.0.0.1', {port}), 5).close()"


def test_the_allowed_port_and_all_of_them(networks: udfleet.LocalFleet, listener: int, other: int) -> None:
    assert told(networks, "anywhere", connect(other)) == "did it: None"
    assert told(networks, "one_port", connect(listener)) == "did it: None"
    for function, port in (("nowhere", listener), ("nowhere", other), ("one_port", other)):
        assert told(networks, function, connect(port)).startswith("PermissionError"), (function, port)


@pytest.mark.parametrize("function", ["nowhere", "one_port"])
@pytest.mark.parametrize(
    "code",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', {port}))",
        "socket.socket(socket.AF_INET6, socket.SOCK_STREAM).connect(('::ffff:127.0.0.1', {port}))",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
        f"socket.socket(socket.AF_INET, socket.SOCK_STREAM, {MPTCP}).connect(('127.0.0.1', {{port}}))",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)",
        f"socket.socket().sendto(b'x', {FAST_OPEN}, ('127.0.0.1', {{port}}))",
        f"socket.socket().sendmsg([b'x'], [], {FAST_OPEN}, ('127.0.0.1', {{port}}))",
        "socket.create_server(('127.0.0.1', 0))",
        "__import__('subprocess').run([__import__('sys').executable, '-c', "
        "'import socket; socket.create_connection((\"127.0.0.1\", {port}), 5)'], check=True)",
    ],
)
def test_there_is_no_other_way(networks: udfleet.LocalFleet, other: int, function: str, code: str) -> None:
    answer = told(networks, function, f"import socket; result = {code.format(port=other)}")
    assert answer.startswith(("PermissionError", "CalledProcessError")), answer
    assert told(networks, function, "result = 1") == "did it: 1"


def test_what_is_no_network_still_works(networks: udfleet.LocalFleet) -> None:
    code = """
    import asyncio, multiprocessing, socket
    a, b = socket.socketpair()
    a.send(b"x")
    with multiprocessing.get_context("fork").Pool(1) as pool:
        result = asyncio.run(asyncio.sleep(0, b.recv(1))), pool.map(abs, [-1])
    """
    assert told(networks, "nowhere", code) == "did it: (b'x', [1])"


def test_functions_of_other_networks_share_no_interpreter(networks: udfleet.LocalFleet) -> None:
    pids = {told(networks, name, "import os; result = os.getpid()") for name in ("anywhere", "nowhere", "one_port")}
    assert len(pids) == 3
    networks.register_function("nowhere_too", attempt, config={"udfleet.network": "none"})
    own = {told(networks, name, "import os; result = os.getpid()") for name in ("nowhere", "nowhere_too")}
    assert len(own) == 1


def test_what_is_no_network_is_refused(networks: udfleet.LocalFleet) -> None:
    identity = udf(lambda text: text, [STRING], STRING)
    error = failure_of(
        udfleet.InvalidConfigError,
        networks.register_function,
        "bad",
        identity,
        config={"udfleet.network": "localhost"},
    )
    assert "443,53" in str(error)


def test_without_a_sandbox_no_network_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UDFLEET_EXECUTOR_SANDBOX", "off")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        error = failure_of(
            udfleet.InfeasibleError,
            fleet.register_function,
            "nowhere",
            attempt,
            config={"udfleet.network": "none"},
        )
        assert "udfleet.network" in str(error)
        fleet.register_function("anywhere", attempt)
        assert fleet.call("anywhere", ["result = 1"]).to_pylist() == ["did it: 1"]
