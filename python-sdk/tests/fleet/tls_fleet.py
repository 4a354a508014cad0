"""A fleet of real processes with certificates of its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleet_support import eventually

import udfleet
from udfleet._local import binaries
from udfleet._local.process import Child

TOKEN = "token-of-a-fleet-with-certificates"
SECONDS = 60.0


def certs(folder: Path, *options: str) -> None:
    """Makes certificates, or renews them."""
    program = str(binaries.find_program(binaries.COORDINATOR))
    command = [program, "certs", "create", "--dir", str(folder), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)


_CA = """
[ca]
default_ca = only
[only]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
[any]
commonName = optional
[names]
subjectAltName = {names}
extendedKeyUsage = serverAuth, clientAuth
"""


def expired(certs: Path, folder: Path, names: str) -> tuple[Path, Path]:
    """A certificate by the CA of `certs` that was valid for a day long ago, and its key."""
    folder.mkdir()
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01")
    (folder / "ca.conf").write_text(_CA.format(folder=folder, names=names))
    cert, key, request = folder / "expired.crt", folder / "expired.key", folder / "request.pem"
    for command in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=expired",
         "-keyout", str(key), "-out", str(request)],
        ["ca", "-batch", "-notext", "-config", str(folder / "ca.conf"), "-extensions", "names", "-in", str(request),
         "-out", str(cert), "-cert", str(certs / "ca.crt"), "-keyfile", str(certs / "ca.key"),
         "-startdate", "20200101000000Z", "-enddate", "20200102000000Z"],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=SECONDS)
    return cert, key


class TlsFleet:
    """One coordinator and executors e1, e2, ... with mutual TLS; everything is reached by 127.0.0.1 and localhost."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(self, folder: Path, executors: int, *coordinator_options: str, token: str | None = TOKEN) -> None:
        """Makes certificates, and starts everything with them."""
        self.folder, self.token = folder, token
        self.certs = folder / "certs"
        self.names = [f"e{number}" for number in range(1, executors + 1)]
        self.renew()
        self.ready = self._start("coordinator", binaries.COORDINATOR, "coordinator-c", *coordinator_options,
                                 "--listen", "0.0.0.0:0", "--advertise", "localhost",
                                 "--engine-listen", "127.0.0.1:0", "--data-dir", str(folder / "data"))  # fmt: skip
        self.port = self.ready["grpc"].rpartition(":")[2]
        self.address = f"localhost:{self.port}"
        for name in self.names:
            self.executor(name, f"executor-{name}")

    def renew(self) -> None:
        """New certificates by the same CA."""
        executors = ",".join(self.names)
        certs(self.certs, "--hosts", "localhost", "--coordinators", "c", "--executors", executors)

    def executor(self, folder: str, certificate: str, *options: str) -> dict[str, Any]:
        """Starts one; returns what it says of itself."""
        return self._start(folder, binaries.EXECUTOR, certificate, "--coordinator", self.address,
                           "--listen", "127.0.0.1:0", "--interpreters-per-environment", "1",
                           "--python", binaries.base_python(), "--uv", str(binaries.find_uv()), "--work-dir", str(self.folder / folder),
                           *options)  # fmt: skip

    def _start(self, name: str, program: str, certificate: str, *options: str) -> dict[str, Any]:
        command = [str(binaries.find_program(program)), "--http-listen", "127.0.0.1:0"]
        if self.token:
            file = self.folder / "token"
            if not file.exists():
                file.write_text(self.token)
            command += ["--token-file", str(file)]
        child = Child(name, [*command, *self.files(certificate), *options], self.folder / f"{name}.log")
        self.children.append(child)
        return child.wait_ready(SECONDS)

    def files(self, certificate: str) -> list[str]:
        """The options that name the files of a certificate."""
        cert, key = self.certs / f"{certificate}.crt", self.certs / f"{certificate}.key"
        return ["--tls-ca", str(self.certs / "ca.crt"), "--tls-cert", str(cert), "--tls-key", str(key)]

    def tls(self, certificate: str | None = None) -> dict[str, str]:
        """The same for `connect`."""
        given = {"tls_ca": str(self.certs / "ca.crt")}
        if certificate:
            given["tls_cert"] = str(self.certs / f"{certificate}.crt")
            given["tls_key"] = str(self.certs / f"{certificate}.key")
        return given

    def connect(self, certificate: str | None = "client", token: str | None = None, **options: Any) -> udfleet.Fleet:
        """A client of it, with the fleet's own token unless another is given."""
        return udfleet.connect(self.address, token or self.token, **self.tls(certificate), **options)

    def wait_attached(self) -> None:
        """Until all executors serve."""
        with self.connect() as fleet:
            eventually("executors attach", lambda: {e.id for e in fleet.executors()} >= set(self.names), SECONDS)

    def stop(self) -> None:
        """Ends all processes."""
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            child.reap()


@contextlib.contextmanager
def tls_fleet(
    folder: Path, executors: int = 1, *coordinator_options: str, token: str | None = TOKEN
) -> Iterator[TlsFleet]:
    """A fleet that ends with the block."""
    fleet = TlsFleet()
    try:
        fleet.start(folder, executors, *coordinator_options, token=token)
        fleet.wait_attached()
        yield fleet
    finally:
        fleet.stop()
