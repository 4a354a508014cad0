"""Fleets with certificates: who gets in, what others are told, and certificates that are replaced under load."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from fleet_support import BIGINT, eventually, failure_of
from tls_fleet import TOKEN, certs, expired, tls_fleet

import udfleet
from udfleet import UnauthenticatedError, udf
from udfleet._local import binaries
from udfleet._tls import choose
from udfleet.engines._flight_function import FlightFunction


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    with tls_fleet(tmp_path_factory.mktemp("tls"), 2) as running, running.connect() as fleet:
        fleet.register_function("plus", udf(lambda a: a + 1, BIGINT, BIGINT))
        yield running


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Certificates of another CA."""
    folder = tmp_path_factory.mktemp("strangers")
    certs(folder, "--hosts", "localhost")
    return folder


@pytest.mark.parametrize("certificate", ["client", None])
@pytest.mark.parametrize("direct", [True, False])
def test_calls_with_and_without_a_certificate(secured, certificate, direct):
    with secured.connect(certificate, direct=direct) as fleet:
        assert fleet.call("plus", [1, 2]).to_pylist() == [2, 3]
        assert {executor.id for executor in fleet.executors()} >= {"e1", "e2"}
        ends = {executor.certificate_ends for executor in fleet.executors()} | {fleet.certificate_ends}
        assert None not in ends and all(360 < (end - end.now(end.tzinfo)).days < 366 for end in ends)


def test_a_plain_flight_client_follows_locations(secured):
    ca = (secured.certs / "ca.crt").read_bytes()
    headers = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {TOKEN}".encode())])
    with flight.FlightClient(f"grpc+tls://{secured.address}", tls_root_certs=ca) as client:
        info = client.get_flight_info(flight.FlightDescriptor.for_path("plus"), headers)
    locations = [location for endpoint in info.endpoints for location in endpoint.locations]
    assert len(locations) == 2 and all(location.uri.startswith(b"grpc+tls://") for location in locations)
    for location in locations:
        with flight.FlightClient(location, tls_root_certs=ca) as client:
            writer, reader = client.do_exchange(flight.FlightDescriptor.for_path("plus"), headers)
            batch = pa.record_batch([pa.array([41])], names=["a"])
            writer.begin(batch.schema)
            writer.write_batch(batch)
            writer.done_writing()
            assert reader.read_all().column(0).to_pylist() == [42]


def test_engines_call_without_a_token_and_travel_to_workers(secured, monkeypatch):
    for variable in ("UDFLEET_TLS_CA", "UDFLEET_TLS_CERT", "UDFLEET_TLS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    engine = f"grpcs://{secured.ready['engine']}"
    monkeypatch.setenv("UDFLEET_TLS_CA", str(secured.certs / "ca.crt"))
    function = FlightFunction(engine, "plus", direct=False)
    kind, arguments = function.__reduce__()
    monkeypatch.delenv("UDFLEET_TLS_CA")
    for each in (function, kind(*arguments)):
        with contextlib.closing(each):
            assert each.call(pa.record_batch([pa.array([1])], names=["a"])).to_pylist() == [2]


def failures(address, **tls):
    """What each kind of client says; it has to be quick about it."""
    begun = time.monotonic()
    yield failure_of(UnauthenticatedError, udfleet.connect, address, TOKEN, **tls)
    files = choose(address, tls.get("tls_ca"), tls.get("tls_cert"), tls.get("tls_key"))
    function = FlightFunction(address, "plus", TOKEN, tls=files)
    yield failure_of(UnauthenticatedError, function.resolve)
    yield failure_of(UnauthenticatedError, function.call, pa.record_batch([pa.array([1])], names=["a"]))
    assert time.monotonic() - begun < 20, "nothing that can't succeed is tried again"


def assert_told(found, said):
    for error in found:
        assert said in error.message and error.hint and not error.retryable, error


def test_each_mistake_is_told_by_its_name(secured, strangers):
    ca = secured.tls()["tls_ca"]
    assert_told(failures(secured.address, tls_ca=str(strangers / "ca.crt")), "not signed by the CA")
    assert_told(failures(f"127.0.0.2:{secured.port}", tls_ca=ca), "other names")
    assert_told(failures(f"grpc+tcp://{secured.address}"), "does not speak gRPC in plain text")
    with udfleet.local(executors=1, interpreters=1) as plain:
        assert_told(failures(plain.address, tls_ca=ca), "does not speak TLS")


def test_a_certificate_of_another_ca_is_refused(secured, strangers):
    ca = secured.tls()["tls_ca"]
    wrong = {"tls_cert": str(strangers / "client.crt"), "tls_key": str(strangers / "client.key")}
    assert_told(failures(secured.address, tls_ca=ca, **wrong), "not signed by this fleet's CA")


def test_certificates_that_have_expired_are_told(secured, tmp_path):
    ca = secured.tls()["tls_ca"]
    cert, key = expired(secured.certs, tmp_path / "client", "URI:udfleet://client/late")
    assert_told(failures(secured.address, tls_ca=ca, tls_cert=str(cert), tls_key=str(key)), "has expired")
    cert, key = expired(secured.certs, tmp_path / "node", "URI:udfleet://coordinator/late,DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def handshakes():
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True):
                        pass

        threading.Thread(target=handshakes, daemon=True).start()
        assert_told(failures(f"localhost:{listener.getsockname()[1]}", tls_ca=ca), "its certificate has expired")
        listener.shutdown(socket.SHUT_RDWR)


def test_the_clickhouse_program(secured, strangers):
    def ran(ca):
        command = [str(binaries.find_program(binaries.CLICKHOUSE_BRIDGE)), "--function", "plus", "--retry-seconds", "0",
                   "--address", secured.address, "--token-file", str(secured.folder / "token"), "--tls-ca", str(ca)]  # fmt: skip
        sink = pa.BufferOutputStream()
        batch = pa.record_batch([pa.array([1, 41])], names=["a"])
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return subprocess.run(command, input=sink.getvalue().to_pybytes(), capture_output=True, timeout=60)

    done = ran(secured.certs / "ca.crt")
    assert done.returncode == 0, done.stderr
    assert pa.ipc.open_stream(done.stdout).read_all().column(0).to_pylist() == [2, 42]
    done = ran(strangers / "ca.crt")
    assert done.returncode != 0 and b"UNAUTHENTICATED" in done.stderr


def test_the_command_line(secured, strangers):
    def ran(*options, **variables):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UDFLEET_")}
        command = [sys.executable, "-m", "udfleet", "--address", secured.address, *options]
        variables["UDFLEET_TOKEN"] = TOKEN
        return subprocess.run(command, capture_output=True, text=True, env={**kept, **variables}, timeout=60)

    done = ran("status", UDFLEET_TLS_CA=str(secured.certs / "ca.crt"))
    assert done.returncode == 0 and re.search(r"TLS: the first certificate ends on .*, in 36\d days", done.stdout)
    done = ran("--tls-ca", str(strangers / "ca.crt"), "status")
    assert (
        done.returncode == 1 and "error: UNAUTHENTICATED: no connection to" in done.stderr and "hint: " in done.stderr
    )
    done = ran("certs", "show", str(secured.certs / "executor-e1.crt"))
    assert "udfleet://executor/e1" in done.stdout and "days left" in done.stdout


def test_pages_are_encrypted_too(secured):
    context = ssl.create_default_context(cafile=str(secured.certs / "ca.crt"))
    with urllib.request.urlopen(f"https://{secured.ready['http']}/metrics", context=context) as answer:
        page = answer.read().decode()
    assert re.search(r"^udfleet_tls_certificate_not_after_seconds [1-9]", page, re.MULTILINE)
    request = urllib.request.Request(f"https://{secured.ready['http']}/api/v1/executors")
    request.add_header("authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, context=context) as answer:
        assert b"certificate_ends_unix" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{secured.ready['http']}/healthz")
    assert refused.value.code == 400 and b"TLS" in refused.value.read()


def test_an_executor_has_the_name_in_its_certificate(secured):
    with pytest.raises(udfleet.StartupError, match="executor/e1"):
        secured.executor("usurper", "executor-e1", "--id", "e2")
    ready = secured.executor("client", "client", "--id", "e3")
    log = secured.folder / "client.log"
    eventually("it is refused", lambda: "may not attach" in log.read_text())
    with secured.connect() as fleet:
        assert ready["id"] == "e3" and "e3" not in {executor.id for executor in fleet.executors()}


def test_nobody_without_a_certificate_where_it_is_required(tmp_path):
    with tls_fleet(
        tmp_path, 1, "--tls-client-auth", "required", "--tls-allow", "udfleet://executor/*,udfleet://client/client"
    ) as fleet:
        assert_told(failures(fleet.address, **fleet.tls()), "wants a client certificate")
        certs(fleet.certs, "--hosts", "localhost", "--executors", "e1", "--coordinators", "c", "--clients", "other")
        assert_told(failures(fleet.address, **fleet.tls("client-other")), "not allowed")


def served_certificate(secured):
    context = ssl.create_default_context(cafile=str(secured.certs / "ca.crt"))
    context.set_alpn_protocols(["h2"])
    host, _, port = secured.address.rpartition(":")
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        return tls.getpeercert(binary_form=True)


def test_certificates_are_replaced_under_load(tmp_path):
    with tls_fleet(tmp_path, 2) as secured, secured.connect() as fleet:
        fleet.register_function("plus", udf(lambda a: a + 1, BIGINT, BIGINT))
        ended, calls, broken = threading.Event(), [], []

        def load(direct):
            try:
                with secured.connect(direct=direct) as own:
                    while not ended.is_set():
                        rows = (pa.record_batch([pa.array([n])], names=["a"]) for n in range(50))
                        answers = [each.column(0).to_pylist() for each in own.stream("plus", rows)]
                        assert answers == [[n + 1] for n in range(50)]
                        calls.append(len(answers))
            except BaseException as error:
                broken.append(error)

        threads = [threading.Thread(target=load, args=[direct]) for direct in (True, False)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                before, made = served_certificate(secured), len(calls)
                secured.renew()
                eventually("the new one is shown", lambda shown=before: served_certificate(secured) != shown)
                eventually("calls go on", lambda made=made: broken or len(calls) > made + 4)
                with secured.connect() as late:
                    assert late.call("plus", [1]).to_pylist() == [2]
            (secured.certs / "coordinator-c.crt").write_text("-----BEGIN CERTIFICATE-----\nhalf")
            log = secured.folder / "coordinator.log"
            eventually("it is complained of", lambda: "can't be used" in log.read_text())
            with secured.connect() as late:
                assert late.call("plus", [1]).to_pylist() == [2]
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
        assert not broken and not any(thread.is_alive() for thread in threads), broken
        assert {executor.state for executor in fleet.executors()} == {"ready"}


def test_the_fleets_token_is_replaced_under_load(tmp_path, monkeypatch):
    following = "the-next-token-of-this-fleet"
    with tls_fleet(tmp_path, 2) as secured, secured.connect() as fleet:
        fleet.register_function("plus", udf(lambda a: a + 1, BIGINT, BIGINT))
        token = fleet.create_token("load", ["call", "observe"]).token
        ended, calls, broken, following_file = threading.Event(), [], [], []

        def load(direct, shown):
            try:
                with udfleet.connect(secured.address, shown, direct=direct, **secured.tls()) as own:
                    following_file.extend([] if shown else [own])
                    while not ended.is_set():
                        rows = (pa.record_batch([pa.array([n])], names=["a"]) for n in range(20))
                        calls.append([each.column(0).to_pylist() for each in own.stream("plus", rows)])
            except BaseException as error:
                broken.append(error)

        def lets_in(shown):
            try:
                udfleet.connect(secured.address, shown, **secured.tls()).close()
            except UnauthenticatedError:
                return False
            return True

        # With a token of their own, and with the fleet's in a file of theirs.
        clients = tmp_path / "token-of-clients"
        clients.write_text(TOKEN)
        monkeypatch.setenv("UDFLEET_TOKEN_FILE", str(clients))
        kinds = itertools.product((True, False), (token, None))
        threads = [threading.Thread(target=load, args=kind) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            (secured.folder / "token").write_text(f"{following}\n{TOKEN}\n")
            eventually("the new one is let in", lambda: lets_in(following))
            assert lets_in(TOKEN), "the old one still is"
            clients.write_text(following)
            eventually(
                "clients follow their file", lambda: [own._rpc.token for own in following_file] == [following] * 2
            )
            (secured.folder / "token").write_text(f"{following}\n")
            eventually("the old one is not any more", lambda: not lets_in(TOKEN))
            made = len(calls)
            # Executors show the new one: they fetch definitions and files with it.
            with udfleet.connect(secured.address, following, **secured.tls()) as late:
                late.register_function("minus", udf(lambda a: a - 1, BIGINT, BIGINT))
                assert late.call("minus", [1]).to_pylist() == [0]
                # Those that were attached with the old one attach anew.
                eventually("all are attached", lambda: {executor.state for executor in late.executors()} == {"ready"})
            eventually("calls go on", lambda: broken or len(calls) > made + 4)
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
        assert not broken and not any(thread.is_alive() for thread in threads), broken
        assert all(answers == [[n + 1] for n in range(20)] for answers in calls)


def test_certificates_are_enough_where_the_settings_say_so(tmp_path):
    settings = tmp_path / "coordinator.toml"
    settings.write_text(
        """
        [certificates."udfleet://executor/*"]
        attach = true
        [certificates."udfleet://client/client"]
        roles = ["admin"]
        [certificates."udfleet://client/caller"]
        roles = ["call"]
        functions = ["team_*"]
        tenant = "acme"
        """
    )
    with tls_fleet(tmp_path, 1, "--config", str(settings), token=None) as secured:
        with secured.connect() as fleet:
            for name in ("team_plus", "plus"):
                fleet.register_function(name, udf(lambda a: a + 1, BIGINT, BIGINT))
        certs(secured.certs, "--hosts", "localhost", "--coordinators", "c", "--executors", "e1",
              "--clients", "client,caller,other")  # fmt: skip
        for direct in (True, False):
            with secured.connect("client-caller", direct=direct) as caller:
                assert caller.call("team_plus", [1]).to_pylist() == [2]
                failure_of(udfleet.PermissionDeniedError, caller.call, "plus", [1])
                failure_of(udfleet.PermissionDeniedError, caller.drain, "e1")
        failure_of(UnauthenticatedError, secured.connect, "client-other")
        failure_of(UnauthenticatedError, secured.connect, None)
        # Nobody reaches the executor without a ticket either.
        ca = (secured.certs / "ca.crt").read_bytes()
        with secured.connect() as fleet:
            (executor,) = fleet.executors()
            assert {"acme", "client"} <= {tenant.tenant for tenant in fleet.tenants()}
        stranger = flight.FlightClient(f"grpc+tls://{executor.address}", tls_root_certs=ca)
        with stranger, pytest.raises(flight.FlightUnauthenticatedError):
            stranger.get_flight_info(flight.FlightDescriptor.for_path("plus"))
