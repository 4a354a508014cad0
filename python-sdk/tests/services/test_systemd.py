"""The units, as systemd itself reads them; and that the programs tell it when they are ready."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess

import pytest
from service_programs import ROOT, Nodes

from udfleet._local import binaries

UNITS = ("udfleet-coordinator.service", "udfleet-executor.service")
ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture
def units(tmp_path):
    """With the programs where they are here."""
    for name in UNITS:
        text = (ROOT / "deploy" / "systemd" / name).read_text()
        assert text.count("/usr/bin/udfleet-") == 1
        program = name.removesuffix(".service")
        (tmp_path / name).write_text(text.replace(f"/usr/bin/{program}", str(binaries.find_program(program))))
    return [tmp_path / name for name in UNITS]


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_takes_them(units):
    done = subprocess.run([ANALYZE, "verify", *units], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    units[0].write_text(units[0].read_text().replace("RestartSec=", "RestartSecs="))
    done = subprocess.run([ANALYZE, "verify", *units], capture_output=True, text=True, timeout=120)
    assert "RestartSecs" in done.stderr, "it does look"


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_they_are_exposed_little(units):
    for unit in units:
        command = [ANALYZE, "security", "--offline=true", "--threshold=20", unit]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_programs_say_when_they_are_ready(nodes: Nodes, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.fspath(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", os.fspath(tmp_path / "notify"))
        address = nodes.coordinator("c")
        assert manager.recv(1024).split() == [b"READY=1"]
        nodes.executor("e", address)
        assert manager.recv(1024).split() == [b"READY=1"]
        nodes.stop("c")
        assert manager.recv(1024).split() == [b"STOPPING=1"]
