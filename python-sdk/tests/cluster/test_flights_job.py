"""The flights job, again and again, while each process of the fleet is killed in turn: each run gives what pandas gives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cluster_programs import eventually

from udfleet._local import binaries

JOB = Path(__file__).resolve().parents[2] / "examples" / "flights.py"
PACKAGE = "haversine==2.9.0"
"""What one of its functions has in an environment of its own."""


@pytest.fixture
def package(cluster, tmp_path):
    """Executors reach no index of packages: uv takes from its cache what has been fetched before."""
    command = [str(binaries.find_uv()), "pip", "install", "--quiet", "--python", binaries.base_python()]
    fetch = cluster.network.outside(*command, "--target", str(tmp_path / "package"), PACKAGE)
    subprocess.run(fetch, check=True, capture_output=True, text=True)


class Job:
    """Runs it until `end`, one run after the other."""

    def __init__(self, cluster) -> None:
        self._command = [sys.executable, str(JOB), "--address", cluster.address]
        self._variables = {**os.environ, "UDFLEET_TOKEN": cluster.token}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._runs, daemon=True)
        self.runs: list[subprocess.CompletedProcess[str]] = []
        self._thread.start()

    def _runs(self) -> None:
        while not self._ended.is_set():
            self.runs.append(subprocess.run(self._command, env=self._variables, capture_output=True, text=True))

    def right(self) -> int:
        """How many runs have ended; all of them gave what pandas gives."""
        for run in self.runs:
            assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
        return len(self.runs)

    def end(self) -> None:
        """Returns when the last run has ended."""
        self._ended.set()
        self._thread.join()


@pytest.mark.usefixtures("package")
def test_each_run_is_right_whatever_dies(cluster):
    job = Job(cluster)
    try:
        eventually("it runs", job.right, 120)
        for program in cluster.programs:
            program.kill()
            cluster.wait_missed(program)
            cluster.restart(program)
            cluster.wait_whole()
            job.right()
        before = job.right()
        eventually("it runs on", lambda: job.right() > before, 120)
    finally:
        job.end()
    print(f"{job.right()} runs")
