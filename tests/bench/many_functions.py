"""Calls and registrations in a fleet where many functions are registered."""

from __future__ import annotations

import re
import statistics
import subprocess
import time

import clients
import functions
from lines import ONE, Fleets, Line
from yardsticks import ROOT

import udfleet

FEW, MANY = 10, 1_000


class Crowded:
    """A fleet in which functions are registered one after the other as lines need them."""

    def __init__(self, fleets: Fleets) -> None:
        self._fleets = fleets
        self._fleet: udfleet.LocalFleet | None = None
        self._seconds: list[float] = []

    def with_functions(self, count: int) -> udfleet.LocalFleet:
        """The fleet with at least so many functions."""
        if self._fleet is None:
            self._fleet = self._fleets.keep(udfleet.local(executors=1, interpreters=1, max_interpreters=1))
        while len(self._seconds) < count:
            began = time.perf_counter()
            self._fleet.register_function(f"add_{len(self._seconds)}", functions.REGISTERED["add"])
            self._seconds.append(time.perf_counter() - began)
        return self._fleet

    def call(self, count: int) -> float:
        """Median seconds of a one-row call on an open stream."""
        fleet = self.with_functions(count)
        return clients.latency(self._fleets.executor("add_0", fleet), ONE, 1500)

    def registration(self, count: int) -> float:
        """Median seconds of the last ten registrations of so many."""
        self.with_functions(count)
        return statistics.median(self._seconds[count - 10 : count])


def lines(fleets: Fleets) -> list[Line]:
    """Each of the two fleets is filled when it is first needed."""
    few, many = Crowded(fleets), Crowded(fleets)
    return [
        Line(
            f"one-row call with {MANY:,} functions registered, p50",
            f"with {FEW} functions",
            1.2,
            "s",
            lambda: (many.call(MANY), few.call(FEW)),
            at_most=True,
        ),
        Line(
            f"registration with {MANY:,} functions registered",
            f"with {FEW} functions",
            1.5,
            "s",
            lambda: (many.registration(MANY), few.registration(FEW)),
            at_most=True,
        ),
    ]


def replanning() -> dict[str, float]:
    """Milliseconds of CPU that a change costs a coordinator with 100 executors and 1,000 functions."""
    tests = ["-p", "udfleet-coordinator", "--lib", "membership::scale"]
    command = ["cargo", "test", "--release", *tests, "--", "--nocapture"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    found = re.findall(r"^replanning: (.*, 100 executors, .*): ([\d.]+) ms", output, re.MULTILINE)
    return {what: float(milliseconds) for what, milliseconds in found}
