"""A real fleet of one executor and one interpreter, with thousands of functions that parallel clients register.

    python tests/bench/large_fleet.py --functions 10 1000 5000

prints for each number of functions what calls and registrations take, what the processes hold, and what they take of a core
while nothing is called.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import functions
import processes
from rich.console import Console
from rich.table import Table

import udfleet

CLIENTS = 8
TIMED = 20
CALLS = 500


def _register(fleet: udfleet.LocalFleet, numbers: range) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        register = lambda number: fleet.register_function(f"add_{number}", functions.REGISTERED["add"])  # noqa: E731
        list(clients.map(register, numbers))


def _registrations(fleet: udfleet.LocalFleet, first: int) -> float:
    """Median seconds of some, one after the other."""
    seconds = []
    for number in range(first, first + TIMED):
        began = time.perf_counter()
        fleet.register_function(f"add_{number}", functions.REGISTERED["add"])
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _call(fleet: udfleet.LocalFleet) -> float:
    """Median seconds of a one-row call."""
    fleet.call("add_0", 1, 2)
    seconds = []
    for _ in range(CALLS):
        began = time.perf_counter()
        fleet.call("add_0", 1, 2)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def measure(fleet: udfleet.LocalFleet, before: int, count: int) -> dict[str, str]:
    """Fills the fleet up to so many functions."""
    began = time.monotonic()
    _register(fleet, range(before, count - TIMED))
    filled = time.monotonic() - began
    coordinator, executor = fleet.pids["coordinator"], fleet.pids["executor-1"]
    taken = [processes.cpu(pid) for pid in (coordinator, executor)]
    registration = _registrations(fleet, max(before, count - TIMED))
    per_change = [(processes.cpu(pid) - cpu) / TIMED for pid, cpu in zip((coordinator, executor), taken, strict=True)]
    call = _call(fleet)
    idle = processes.shares(coordinator, executor)
    mib = [processes.proportional_mib(pid) for pid in (coordinator, executor, processes.children(executor)[0])]
    rate = max(0, count - TIMED - before) / filled
    return {
        f"registrations per second, {CLIENTS} clients": f"{rate:.0f}",
        "registration, p50": f"{registration * 1e3:.0f} ms",
        "CPU of it: coordinator / executor": " / ".join(f"{seconds * 1e3:.1f}" for seconds in per_change) + " ms",
        "one-row call, p50": f"{call * 1e6:.0f} µs",
        "memory: coordinator / executor / interpreter": " / ".join(f"{size:.0f}" for size in mib) + " MiB",
        "idle: coordinator / executor": " / ".join(f"{share * 100:.1f}" for share in idle) + " % of a core",
    }


def main() -> None:
    """Prints a table, a column for each number of functions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, nargs="+", default=[TIMED, 1000, 5000])
    sizes = sorted(max(TIMED, size) for size in parser.parse_args().functions)
    columns: list[dict[str, str]] = []
    with udfleet.local(executors=1, interpreters=1, max_interpreters=1) as fleet:
        for before, size in zip([0, *sizes], sizes, strict=False):
            columns.append(measure(fleet, before, size))
            print(size, columns[-1], flush=True)
    table = Table("functions registered", *(f"{size:,}" for size in sizes))
    for row in columns[0]:
        table.add_row(row, *(column[row] for column in columns))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
