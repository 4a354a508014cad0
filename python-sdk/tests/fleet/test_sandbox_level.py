"""How far functions are contained is told by the SDK, the command line, the JSON API and the metrics."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from fleet_support import alive

import udfleet
from udfleet._local import binaries


def pages(fleet: udfleet.LocalFleet) -> tuple[list[dict[str, object]], str]:
    """The coordinator's executors in JSON, and its metrics."""

    def read(path: str) -> bytes:
        headers = {"authorization": f"Bearer {fleet.token}"}
        request = urllib.request.Request(f"http://{fleet.http_address}{path}", headers=headers)
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())

    return json.loads(read("/api/v1/executors")), read("/metrics").decode()


def test_the_kernels_level_is_told_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    host = binaries.find_folder() / "udfleet-interpreter"
    words = subprocess.run([host, "check"], capture_output=True, text=True, check=True).stdout.split()
    found = {name: int(value) for name, value in (word.split("=") for word in words)}
    whole = found["landlock"] >= 6 and found["seccomp"] == found["no_new_privs"] == 1
    for variable in ("SANDBOX", "SANDBOX_WITHOUT"):
        monkeypatch.delenv(f"UDFLEET_EXECUTOR_{variable}", raising=False)
    if os.geteuid() == 0:
        # Without the Pythons that are in root's home.
        monkeypatch.setenv("UDFLEET_EXECUTOR_SANDBOX_USERS", "1900000000-1900065535")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        (view,) = fleet.executors()
        assert view.sandbox.level == ("full" if whole else "partial")
        assert bool(view.sandbox.missing) == (not whole)
        ((executor,), metrics) = pages(fleet)
        assert executor["sandbox"] == {"level": view.sandbox.level, "missing": view.sandbox.missing}
        assert f'udfleet_executors_by_sandbox{{level="{view.sandbox.level}"}} 1' in metrics.splitlines()
        assert 'udfleet_executors_by_sandbox{level="off"} 0' in metrics.splitlines()


def test_a_sandbox_that_is_off_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UDFLEET_EXECUTOR_SANDBOX", "off")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        (view,) = fleet.executors()
        assert (view.sandbox.level, len(view.sandbox.missing)) == ("off", 1)
        ((executor,), metrics) = pages(fleet)
        assert executor["sandbox"] == {"level": "off", "missing": view.sandbox.missing}
        assert 'udfleet_executors_by_sandbox{level="off"} 1' in metrics.splitlines()
        command = [sys.executable, "-m", "udfleet", "--address", fleet.address, "status"]
        given = {**os.environ, "UDFLEET_TOKEN": str(fleet.token or "")}
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env=given)
        assert "sandbox: off on 1 executor" in shown.stdout
        assert "executor-1 contains functions in part or not at all" in shown.stderr
        assert alive(fleet.pids["executor-1"])


@pytest.mark.parametrize(
    ("says", "starts"),
    [("landlock=7 seccomp=1 no_new_privs=1", True), ("landlock=4 seccomp=1 no_new_privs=1", False), ("", False)],
)
def test_an_executor_that_requires_all_of_it_does_not_start_with_less(says: str, starts: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _starts_where_the_host(Path(folder), says, starts)


def _starts_where_the_host(tmp_path: Path, says: str, starts: bool) -> None:
    programs = binaries.find_folder()
    # Not as root, which wants users besides.
    user = 65_534 if os.geteuid() == 0 else None
    tmp_path.chmod(0o777)
    shutil.copy(programs / "udfleet-executor", tmp_path)
    (tmp_path / "libudfleet_interpreter.so").symlink_to(programs / "libudfleet_interpreter.so")
    host = tmp_path / "udfleet-interpreter"
    host.write_text(f"#!/bin/sh\necho {says}\n")
    host.chmod(0o755)
    command = [tmp_path / "udfleet-executor", "--require-sandbox", "--work-dir", tmp_path / "work"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, user=user, group=user, env={"PATH": os.environ["PATH"]}, **pipes)
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert bool(line) == starts
        if not starts:
            assert process.wait(30) != 0 and "require_sandbox" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("part", ["landlock", "seccomp", "users"])
def test_a_part_that_is_turned_off_is_said(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    if part == "users" and os.geteuid() != 0:
        pytest.skip("only root starts processes as other users")
    monkeypatch.setenv("UDFLEET_EXECUTOR_SANDBOX_WITHOUT", part)
    with udfleet.local(executors=1, interpreters=1) as fleet:
        (view,) = fleet.executors()
        assert view.sandbox.level == "partial"
        assert [missing for missing in view.sandbox.missing if "turned off" in missing and part in missing.lower()]
