"""Lines for what TLS costs: the same work on a fleet with mutual TLS and on one in plain text, in one run."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import clients
import functions
import pyarrow.flight as flight
from clients import Peer
from lines import DOUBLES, INTS, ONE, Fleets, Line, streamed

import udfleet
from udfleet._local import binaries
from udfleet._local.process import Child
from udfleet._tls import TlsFiles

START_SECONDS = 60.0
AGAINST = "in plain text"


class EncryptedPeer(Peer):
    """A Flight server with TLS."""

    def __init__(self, peer: Peer, tls: TlsFiles) -> None:
        super().__init__(peer.address, peer.function, peer.options)
        self._ca, self._cert, self._key = tls.read()

    def client(self) -> flight.FlightClient:
        return flight.FlightClient(
            f"grpc+tls://{self.address}",
            tls_root_certs=self._ca,
            cert_chain=self._cert,
            private_key=self._key,
            generic_options=[("grpc.use_local_subchannel_pool", 1)],
        )


class EncryptedFleet:
    """A coordinator and an executor with certificates, else as the fleet with one interpreter."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._children: list[Child] = []
        self._open: list[udfleet.Fleet] = []
        try:
            self._start(Path(self._folder.name))
        except BaseException:
            self.close()
            raise

    def _start(self, folder: Path) -> None:
        certs = folder / "certs"
        make = [str(binaries.find_program(binaries.COORDINATOR)), "certs", "create", "--dir", str(certs)]
        names = ["--hosts", "localhost", "--coordinators", "c", "--executors", "e"]
        subprocess.run([*make, *names], check=True, capture_output=True)
        self.tls = TlsFiles(*(str(certs / name) for name in ("ca.crt", "client.crt", "client.key")))
        ready = self._child(folder, binaries.COORDINATOR, "coordinator-c", "--data-dir", str(folder / "data"))
        self.address = f"localhost:{ready['grpc'].rpartition(':')[2]}"
        self._child(folder, binaries.EXECUTOR, "executor-e", "--coordinator", self.address,
                    "--interpreters-per-environment", "1", "--max-interpreters-per-environment", "1",
                    "--work-dir", str(folder / "e"),
                    "--python", binaries.base_python(), "--uv", str(binaries.find_uv()))  # fmt: skip
        self.direct, self.routed = self._connect(direct=True), self._connect(direct=False)
        for name in ("add", "double_arrow"):
            self.direct.register_function(name, functions.REGISTERED[name])

    def _child(self, folder: Path, program: str, certificate: str, *options: str) -> dict[str, str]:
        certs = folder / "certs"
        command = [str(binaries.find_program(program)), "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                   "--tls-ca", str(certs / "ca.crt"), "--tls-cert", str(certs / f"{certificate}.crt"),
                   "--tls-key", str(certs / f"{certificate}.key"), *options]  # fmt: skip
        child = Child(certificate, command, folder / f"{certificate}.log")
        self._children.append(child)
        return child.wait_ready(START_SECONDS)

    def _connect(self, *, direct: bool) -> udfleet.Fleet:
        ca, cert, key = self.tls.ca, self.tls.cert, self.tls.key
        self._open.append(udfleet.connect(self.address, direct=direct, tls_ca=ca, tls_cert=cert, tls_key=key))
        return self._open[-1]

    def executor(self, function: str) -> EncryptedPeer:
        """The executor, without the SDK's pipeline."""
        address = self.direct.executors()[0].address
        options = self.direct._directory.call_options(address)
        return EncryptedPeer(Peer(address, function, options), self.tls)

    def close(self) -> None:
        """Ends it."""
        while self._open:
            self._open.pop().close()
        for child in reversed(self._children):
            child.terminate()
        for child in self._children:
            child.reap()
        self._folder.cleanup()


def lines(fleets: Fleets) -> list[Line]:
    """All of them, in the order in which they are shown."""
    tls = fleets.keep(EncryptedFleet())
    one = fleets.one

    def compared(name: str, unit: str, measure, *, at_most: bool = False) -> Line:
        return Line(name, AGAINST, None, unit, measure, at_most=at_most)

    return [
        compared(
            "over TLS: arrow, 10,000-row batches, to the executor",
            "rows/s",
            lambda: (
                streamed(tls.direct, "double_arrow", DOUBLES, 800),
                streamed(one, "double_arrow", DOUBLES, 800),
            ),
        ),
        compared(
            "over TLS: the same, through the coordinator",
            "rows/s",
            lambda: (
                streamed(tls.routed, "double_arrow", DOUBLES, 800),
                streamed(fleets.routed, "double_arrow", DOUBLES, 800),
            ),
        ),
        compared(
            "over TLS: general, 10,000-row batches, to the executor",
            "rows/s",
            lambda: (streamed(tls.direct, "add", INTS, 200), streamed(one, "add", INTS, 200)),
        ),
        compared(
            "over TLS: one-row call on an open stream, p50",
            "s",
            lambda: (
                clients.latency(tls.executor("add"), ONE, 1500),
                clients.latency(fleets.executor("add"), ONE, 1500),
            ),
            at_most=True,
        ),
        compared(
            "over TLS: a call on a fresh connection",
            "calls/s",
            lambda: (
                1 / clients.fresh(tls.executor("add"), ONE, 150),
                1 / clients.fresh(fleets.executor("add"), ONE, 150),
            ),
        ),
    ]
