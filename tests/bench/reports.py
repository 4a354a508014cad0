"""Figures without a yardstick: start-up, registration, memory, the demo's rates."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time

import functions
from processes import children, proportional_mib
from yardsticks import ROOT

import udfleet


def cold_start() -> float:
    """Seconds from `udfleet.local()` to the first result, with no environment built yet."""
    with tempfile.TemporaryDirectory() as environments:
        started = time.perf_counter()
        with udfleet.local(environments_dir=environments) as fleet:
            fleet.register_function("add", functions.REGISTERED["add"])
            fleet.call("add", 1, 2)
            return time.perf_counter() - started


def registration(fleet: udfleet.Fleet, number: int) -> float:
    """Seconds from registering to READY, in an environment whose interpreters run."""
    started = time.perf_counter()
    fleet.register_function(f"registered_{number}", functions.REGISTERED["add"])
    return time.perf_counter() - started


def idle_memory() -> dict[str, float]:
    """MiB (PSS) of each kind of process of a fleet that has served one call."""
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("add", functions.REGISTERED["add"])
        fleet.call("add", 1, 2)
        executor = fleet.pids["executor-1"]
        interpreters = [proportional_mib(pid) for pid in children(executor)]
        return {
            "coordinator": proportional_mib(fleet.pids["coordinator"]),
            "executor": proportional_mib(executor),
            "interpreter, general function": interpreters[0],
        }


def demo_rates() -> dict[str, float]:
    """Rows per second of each function of `make demo`."""
    demo = ROOT / "python-sdk" / "examples" / "flights.py"
    output = subprocess.run([sys.executable, str(demo)], check=True, capture_output=True, text=True).stdout
    rates = re.findall(r"^(\w+): ([\d,]+) rows/s, ", output, re.MULTILINE)
    return {name: float(rate.replace(",", "")) for name, rate in rates}
