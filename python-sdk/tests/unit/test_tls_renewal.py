"""Connections go on while certificates are being replaced, however long that takes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from test_tls_settings import pair

from udfleet import InvalidConfigError, _tls
from udfleet._flight.directory import Directory
from udfleet._rpc import Rpc
from udfleet._tls import TlsFiles, TlsSource
from udfleet.engines import _flight_function


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A pair that is shown, and the contents of another."""
    monkeypatch.setattr(_tls, "LOOK_SECONDS", 0.0)
    cert, key = pair(tmp_path, "shown")
    other = [Path(file).read_bytes() for file in pair(tmp_path, "new")]
    # Who has a pair already must not wait for another.
    monkeypatch.setattr(_tls.time, "sleep", lambda _: pytest.fail("waits"))
    return Path(cert), Path(key), other


def replaced(file: Path, text: bytes) -> None:
    beside = file.with_suffix(".beside")
    beside.write_bytes(text)
    beside.replace(file)


def test_a_key_that_comes_late_changes_nothing_until_it_is_there(shown, caplog):
    cert, key, (new_cert, new_key) = shown
    source = TlsSource(TlsFiles(None, str(cert), str(key)))
    former = source.current()
    with caplog.at_level(logging.WARNING, "udfleet"):
        replaced(cert, new_cert)
        assert [source.current() is former for _ in range(3)] == [True] * 3
    assert len(caplog.records) == 1, "it is told once"
    replaced(key, new_key)
    assert source.current() == (None, new_cert, new_key)


def test_a_file_that_is_missing_for_a_moment_changes_nothing(shown):
    cert, key, _ = shown
    source = TlsSource(TlsFiles(None, str(cert), str(key)))
    former = source.current()
    text = key.read_bytes()
    key.unlink()
    assert source.current() is former
    key.write_bytes(text)
    assert source.current() is former
    with pytest.raises(InvalidConfigError):
        TlsSource(TlsFiles(str(cert) + ".none")).current()


def test_open_connections_are_used_on(shown):
    cert, key, (new_cert, new_key) = shown
    rpc = Rpc(["127.0.0.1:1"], None, TlsFiles(str(cert), str(cert), str(key)))
    directory = Directory(rpc)
    try:
        channel, client = rpc._channel("127.0.0.1:1"), directory.client("127.0.0.1:1")
        replaced(cert, new_cert)
        assert rpc._channel("127.0.0.1:1") is channel
        assert directory.client("127.0.0.1:1") is client
        rpc._channel("127.0.0.1:2")
        replaced(key, new_key)
        assert rpc._channel("127.0.0.1:1") is not channel
        assert directory.client("127.0.0.1:1") is not client
    finally:
        directory.close()
        rpc.close()


def test_an_engines_worker_waits_for_no_pair_either(shown, monkeypatch):
    cert, key, (new_cert, new_key) = shown
    used = []
    monkeypatch.setattr(_flight_function, "flight_client", lambda address, texts, options: used.append(texts))
    function = _flight_function.FlightFunction("127.0.0.1:1", "f", tls=TlsFiles(None, str(cert), str(key)))
    function._connect("127.0.0.1:1")
    replaced(cert, new_cert)
    function._connect("127.0.0.1:1")
    replaced(key, new_key)
    function._connect("127.0.0.1:1")
    assert used[0] == used[1] != used[2] == (None, new_cert, new_key)
