"""A fleet over two network namespaces: what goes over the wire between them says nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from fleet_support import eventually
from tls_fleet import SECONDS, certs

from udfleet._local import binaries

ROW, CODE, TOKEN = "row-Zq7mJt", "code-Xw4pLk", "token-Yv9cRb"
FLIGHTS = "EWRLGAJFKJFKLGAEWR"
"""Where the first flights of the demo start, as Arrow has them."""
PACKAGE = "haversine==2.9.0"
"""What one of its functions asks for."""
DEMO = Path(__file__).resolve().parents[2] / "examples" / "flights.py"

_CAPTURE = """
import socket, sys
ALL = 3
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as wire, open(sys.argv[1], "wb", 0) as out:
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    print("ready", flush=True)
    while True:
        out.write(wire.recv(1 << 17))
"""

_CLIENT = f"""
import sys
import udfleet
from udfleet import DataTypes, udf

def shout(word):
    mark = "{CODE}"
    return word + "!" + mark[:0]

files = dict(zip(("tls_ca", "tls_cert", "tls_key"), sys.argv[2:]))
with udfleet.connect(sys.argv[1], "{TOKEN}", **files) as fleet:
    fleet.register_function("shout", udf(shout, DataTypes.STRING(), DataTypes.STRING()))
    for direct in (True, False):
        with udfleet.connect(sys.argv[1], "{TOKEN}", direct=direct, **files) as own:
            assert own.call("shout", ["{ROW}"] * 100).to_pylist() == ["{ROW}!"] * 100
"""


def ran(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)


@pytest.fixture
def namespaces():
    """Two machines on one wire: 10.77.0.1 and 10.77.0.2."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces take root and iproute2")
    names = [f"udfleet-{os.getpid()}-{side}" for side in "ab"]
    try:
        for name in names:
            try:
                ran("ip", "netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces can't be made here: {error.stderr.decode().strip()}")
        a, b = names
        ran("ip", "link", "add", "veth0", "netns", a, "type", "veth", "peer", "name", "veth0", "netns", b)
        for number, name in enumerate(names, 1):
            ran("ip", "-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "veth0")
            for device in ("veth0", "lo"):
                ran("ip", "-n", name, "link", "set", device, "up")
        yield a, b
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=SECONDS)


@contextlib.contextmanager
def inside(namespace: str, log: Path, *command: str):
    """A process there, which ends with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(SECONDS)


def carried(namespaces, tmp_path: Path, coordinator: list[str], executor: list[str], client: list[str]) -> bytes:
    """What goes over the wire while a fleet, whose executor is on the other machine, runs a function, and the demo."""
    a, b = namespaces
    # Executors reach no index of packages there: uv takes from its cache what has been fetched before.
    uv = [str(binaries.find_uv()), "pip", "install", "--quiet", "--python", binaries.base_python()]
    ran(*uv, "--target", str(tmp_path / "package"), PACKAGE)
    wire, logs = tmp_path / "wire", tmp_path
    (tmp_path / "capture.py").write_text(_CAPTURE)
    (tmp_path / "client.py").write_text(textwrap.dedent(_CLIENT))
    token = tmp_path / "token"
    token.write_text(TOKEN)
    http = ["--http-listen", "127.0.0.1:0", "--token-file", str(token)]
    programs = [str(binaries.find_program(name)) for name in (binaries.COORDINATOR, binaries.EXECUTOR)]
    with contextlib.ExitStack() as stack:
        capture = [sys.executable, str(tmp_path / "capture.py"), str(wire)]
        stack.enter_context(inside(a, logs / "capture.log", *capture))
        eventually("it captures", lambda: "ready" in (logs / "capture.log").read_text(), SECONDS)
        stack.enter_context(
            inside(a, logs / "coordinator.log", programs[0], "--listen", "10.77.0.1:8815", *http,
                   "--data-dir", str(tmp_path / "data"), *coordinator)
        )  # fmt: skip
        eventually("it serves", lambda: '"grpc"' in (logs / "coordinator.log").read_text(), SECONDS)
        stack.enter_context(
            inside(b, logs / "executor.log", "env", "UV_OFFLINE=1", programs[1], "--listen", "10.77.0.2:8817", *http, "--coordinator",
                   "10.77.0.1:8815", "--work-dir", str(tmp_path / "work"), "--interpreters-per-environment", "1",
                   "--python", binaries.base_python(), "--uv", str(binaries.find_uv()), *executor)
        )  # fmt: skip
        eventually("it attaches", lambda: "attached" in (logs / "executor.log").read_text(), SECONDS)
        variables = dict(zip(("UDFLEET_TLS_CA", "UDFLEET_TLS_CERT", "UDFLEET_TLS_KEY"), client, strict=False))
        for command in (
            [str(tmp_path / "client.py"), "10.77.0.1:8815", *client],
            [str(DEMO), "--address", "10.77.0.1:8815"],
        ):
            done = subprocess.run(
                ["ip", "netns", "exec", a, sys.executable, *command],
                capture_output=True,
                text=True,
                timeout=180,
                env={**os.environ, "UDFLEET_TOKEN": TOKEN, **variables},
            )
            logged = "".join(path.read_text() for path in logs.glob("*.log"))
            assert done.returncode == 0, done.stdout + done.stderr + logged
    return wire.read_bytes()


def test_rows_code_and_token_are_not_on_the_wire(namespaces, tmp_path):
    certs(tmp_path / "certs", "--hosts", "10.77.0.1,10.77.0.2")

    def files(name: str) -> list[str]:
        return [str(tmp_path / "certs" / file) for file in ("ca.crt", f"{name}.crt", f"{name}.key")]

    def options(name: str) -> list[str]:
        return [part for flag, file in zip(("ca", "cert", "key"), files(name)) for part in (f"--tls-{flag}", file)]

    required = ["--tls-client-auth", "required"]
    coordinator, executor = options("coordinator-10.77.0.1"), options("executor-10.77.0.2")
    wire = carried(namespaces, tmp_path, coordinator + required, executor + required, files("client"))
    assert len(wire) > 50_000
    assert not [marker for marker in (ROW, CODE, TOKEN, FLIGHTS, PACKAGE) if marker.encode() in wire]


def test_in_plain_text_they_are(namespaces, tmp_path):
    """So the capture sees what there is."""
    wire = carried(namespaces, tmp_path, ["--insecure-non-loopback"], ["--insecure-non-loopback"], [])
    assert not [marker for marker in (ROW, TOKEN, FLIGHTS, PACKAGE) if marker.encode() not in wire]
    assert "PLAIN TEXT" in (tmp_path / "coordinator.log").read_text()
