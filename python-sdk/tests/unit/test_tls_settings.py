"""Which certificates a client takes, and what failed handshakes are called."""

from __future__ import annotations

import pickle
import subprocess

import pytest
from pyarrow.flight import FlightUnavailableError

from udfleet import InvalidConfigError, InvalidInputError, UnauthenticatedError, UnreachableError, _tls
from udfleet._failure_text import from_flight, from_status
from udfleet._tls import CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE, TlsFiles, choose


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in (CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_plain_text_is_what_nobody_has_asked_otherwise():
    assert choose("host:8815") is None
    assert choose(["grpc://a", "udfleet://b:1"]) is None


@pytest.mark.parametrize("scheme", ["grpcs", "grpc+tls", "tls", "https", "GRPCS"])
def test_an_address_asks_for_tls(scheme):
    assert choose(f"{scheme}://host:8815") == TlsFiles()
    assert choose(f"{scheme}://a,b:1", tls_ca := "/ca") == TlsFiles(tls_ca)


def test_a_ca_asks_for_tls(monkeypatch):
    assert choose("host", "/ca", "/cert", "/key") == TlsFiles("/ca", "/cert", "/key")
    monkeypatch.setenv(CA_VARIABLE, "/variable")
    assert choose("host") == TlsFiles("/variable")
    assert choose("host", "/given") == TlsFiles("/given")
    assert choose("host", "") is None
    assert choose("grpc+tcp://host") is None
    monkeypatch.setenv(CERT_VARIABLE, "/cert")
    monkeypatch.setenv(KEY_VARIABLE, "/key")
    assert choose("host") == TlsFiles("/variable", "/cert", "/key")


@pytest.mark.parametrize(
    ("address", "files"),
    [
        ("grpcs://a,grpc+tcp://b", ()),
        ("tcp://a", ("/ca",)),
        ("a", (None, "/cert", "/key")),
        ("a", ("/ca", "/cert")),
        ("a", ("/ca", None, "/key")),
        ("a", (7,)),
    ],
)
def test_what_contradicts_itself_is_refused(address, files):
    with pytest.raises(InvalidInputError):
        choose(address, *files)


def test_other_machines_get_the_ca_as_text(tmp_path):
    ca = tmp_path / "ca.crt"
    ca.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    sent = pickle.loads(pickle.dumps(TlsFiles(str(ca), "/cert", "/key").portable()))
    ca.unlink()
    assert (sent.cert, sent.key) == ("/cert", "/key")
    assert TlsFiles(sent.ca).read()[0].startswith(b"-----BEGIN")
    with pytest.raises(InvalidConfigError, match="tls_ca"):
        TlsFiles(str(ca)).read()


def test_a_changed_file_has_another_stamp(tmp_path):
    ca = tmp_path / "ca.crt"
    ca.write_text("one")
    files = TlsFiles(str(ca))
    before = files.stamp()
    assert files.stamp() == before
    ca.write_text("another")
    assert files.stamp() != before


_SAID = [
    "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:"
    "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate: OK",
    "Ssl handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:0A000086:SSL routines::"
    "certificate verify failed: certificate has expired",
    "Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.",
    "Peer name 127.0.0.1 is not in peer certificate",
    "SSL_ERROR_SSL: error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER: Invalid certificate",
    "Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, got frame type 80) "
    "(Trying to connect an http1.x server (HTTP status 400))",
]


@pytest.mark.parametrize("said", _SAID)
def test_a_handshake_that_fails_for_ever_is_not_retried(said):
    text = f"failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: {said}"
    for error in (from_status("UNAVAILABLE", text, "h:1"), from_flight(FlightUnavailableError(text), "h:1")):
        assert type(error) is UnauthenticatedError
        assert not error.retryable and error.has_no_side_effects and error.hint


def test_a_connection_that_breaks_is_no_matter_of_certificates():
    assert type(from_status("UNAVAILABLE", "Socket closed", "h:1")) is UnreachableError


def pair(folder, name):
    files = [str(folder / f"{name}.crt"), str(folder / f"{name}.key")]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", f"/CN={name}", "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return files


def test_a_key_that_comes_after_its_certificate_is_waited_for(tmp_path, monkeypatch):
    (old, old_key), (new, _) = pair(tmp_path, "old"), pair(tmp_path, "new")
    contents = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert TlsFiles(None, old, old_key).read()[1:] == (contents["old.crt"], contents["old.key"])
    key = tmp_path / "shown.key"
    key.write_bytes(contents["old.key"])
    monkeypatch.setattr(_tls.time, "sleep", lambda _: (tmp_path / "new.key").replace(key))
    assert TlsFiles(None, new, str(key)).read()[1:] == (contents["new.crt"], contents["new.key"])
    monkeypatch.setattr(_tls, "REPLACED_SECONDS", 0.0)
    with pytest.raises(InvalidConfigError, match="not the key"):
        TlsFiles(None, new, old_key).read()
