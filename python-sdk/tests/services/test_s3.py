"""Artifacts in a bucket, which coordinators share: a real S3 server, real processes."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import signal
import time
from pathlib import Path

import pytest
from fleet_support import BIGINT, eventually, failure_of
from service_programs import KEY, SECRET, Bucket, Nodes

import udfleet
from udfleet import udf
from udfleet._proto.udfleet.v1 import fleet_pb2
from udfleet.errors import StartupError

CHUNK = 1 << 20
MIB = 1 << 20


def plus(number):
    return udf(lambda a: a + number, BIGINT, BIGINT)


def content(size: int, seed: int = 0) -> bytes:
    block = hashlib.sha256(str(seed).encode()).digest() * (CHUNK // 32)
    return (block * (size // CHUNK + 1))[:size]


def send(fleet: udfleet.Fleet, data: bytes) -> str:
    """Sends an artifact; its hash."""
    digest = hashlib.sha256(data).hexdigest()

    def chunks():
        yield fleet_pb2.ArtifactChunk(hash=digest, size=len(data), data=data[:CHUNK])
        for start in range(CHUNK, len(data), CHUNK):
            yield fleet_pb2.ArtifactChunk(data=data[start : start + CHUNK])

    fleet._rpc.put(chunks, 120.0)
    return digest


def fetch(fleet: udfleet.Fleet, digest: str) -> bytes:
    return fleet._rpc.get(digest, b"".join)


@pytest.fixture
def fleet(nodes: Nodes, bucket: Bucket, credentials: None, request: pytest.FixtureRequest):
    address = nodes.coordinator("first", *bucket.options(request.node.name))
    nodes.executor("e1", address)
    with udfleet.connect(address) as fleet:
        eventually("it is attached", lambda: [e.state for e in fleet.executors()] == ["ready"])
        yield fleet


def test_a_function_is_loaded_from_the_bucket_by_executors_old_and_new(nodes, bucket, fleet, tmp_path):
    data = tmp_path / "big.py"
    data.write_text(f"NUMBER = 7\nPADDING = {'x' * (12 * MIB)!r}\n")

    def number(a):
        import big

        return a + big.NUMBER

    environment = udfleet.Environment(files=[data])
    fleet.register_function("number", udf(number, BIGINT, BIGINT), environment=environment)
    assert fleet.call("number", [1, 2]).to_pylist() == [8, 9]
    assert not list((nodes.folder / "first").glob("artifacts/*")), "nothing lies beside the metadata"
    # Started anew, it knows nothing but what is in the bucket.
    nodes.stop("first")
    nodes.stop("e1")
    address = nodes.coordinator(
        "first", *bucket.options("test_a_function_is_loaded_from_the_bucket_by_executors_old_and_new")
    )
    nodes.executor("e2", address)
    with udfleet.connect(address) as again:
        eventually("it is served", lambda: again.function("number").state == "READY")
        assert again.call("number", [3]).to_pylist() == [10]


def test_coordinators_share_what_either_was_sent(nodes, bucket, fleet, request):
    with udfleet.connect(nodes.coordinator("second", *bucket.options(request.node.name))) as second:
        for size in (0, 1, 5 * MIB, 5 * MIB + 1, 17 * MIB):
            data = content(size, size)
            digest = send(fleet, data)
            assert second._rpc.missing([digest]) == set()
            assert fetch(second, digest) == data
        # Both are sent the same at once.
        data = content(11 * MIB, 99)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            digests = set(pool.map(lambda number: send([fleet, second][number % 2], data), range(8)))
        (digest,) = digests
        assert fetch(fleet, digest) == fetch(second, digest) == data


def test_what_is_not_what_it_says_is_not_stored(fleet):
    data = content(12 * MIB, 5)
    digest = hashlib.sha256(data).hexdigest()

    def lies():
        yield fleet_pb2.ArtifactChunk(hash=digest, size=len(data), data=data[:CHUNK])
        yield from (fleet_pb2.ArtifactChunk(data=bytes(CHUNK)) for _ in range(11))

    failure_of(udfleet.InvalidInputError, fleet._rpc.put, lies, 60.0)
    assert fleet._rpc.missing([digest]) == {digest}
    assert send(fleet, data) == digest and fleet._rpc.missing([digest]) == set()


def test_while_the_bucket_is_away_what_runs_goes_on_and_the_rest_is_refused(bucket, fleet):
    fleet.register_function("before", plus(1))
    bucket.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        error = failure_of(udfleet.NoCapacityError, fleet.register_function, "during", plus(2), timeout=300)
        assert error.retryable and "artifact store" in str(error)
        assert time.monotonic() - begun < 100, "it is told within bounds"
        assert fleet.call("before", [1]).to_pylist() == [2]
    finally:
        bucket.process.send_signal(signal.SIGCONT)
    fleet.register_function("during", plus(2))
    assert fleet.call("during", [1]).to_pylist() == [3]
    assert [view.name for view in fleet.functions()] == ["before", "during"]


def test_a_coordinator_starts_without_its_bucket_and_uses_it_once_it_is_there(nodes, bucket, credentials, request):
    bucket.process.send_signal(signal.SIGSTOP)
    try:
        with udfleet.connect(nodes.coordinator("alone", *bucket.options(request.node.name))) as fleet:
            assert fleet.functions() == []
            bucket.process.send_signal(signal.SIGCONT)
            digest = send(fleet, b"hello")
            assert fetch(fleet, digest) == b"hello"
    finally:
        bucket.process.send_signal(signal.SIGCONT)


def test_what_no_function_needs_goes(nodes, bucket, credentials, request):
    options = [*bucket.options(request.node.name), "--artifact-ttl", "2s"]
    first = nodes.coordinator("first", *options)
    nodes.executor("e1", first)
    with udfleet.connect(first) as fleet:
        fleet.register_function("kept", plus(1))
        unused = send(fleet, content(6 * MIB, 7))
        eventually("what nobody names goes", lambda: "removed an artifact" in nodes.log("first"))
        assert fleet._rpc.missing([unused]) == {unused}
        nodes.executor("e2", first)
        view = eventually("it is loaded elsewhere", lambda: [
            entry for entry in fleet.function("kept").executors if entry.executor == "e2" and entry.state == "READY"
        ])  # fmt: skip
        assert view


def test_credentials_come_from_a_file_and_wrong_ones_are_refused_at_start(nodes, bucket, monkeypatch, tmp_path: Path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    profile = f"[other]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    file.write_text(profile.replace(SECRET, "wrong"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    with pytest.raises(StartupError, match="AWS_PROFILE"):
        nodes.coordinator("no-profile", *bucket.options("file"))
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(StartupError, match="INVALID_CONFIG"):
        nodes.coordinator("wrong", *bucket.options("file"))
    file.write_text(profile)
    with udfleet.connect(nodes.coordinator("right", *bucket.options("file"))) as fleet:
        assert fetch(fleet, send(fleet, b"hello")) == b"hello"
    with pytest.raises(StartupError, match="INVALID_CONFIG"):
        nodes.coordinator("no-bucket", "--artifact-store", "s3://no-such-bucket", *bucket.options("x")[2:])
