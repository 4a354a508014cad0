"""A quick function beside a busy slow one of the same environment: how much the slow one harms it."""

from __future__ import annotations

import threading
import time

import clients
import functions
from lines import ONE, Fleets, Line

import udfleet

CALLS = 1_000


def _nap(i: int, j: int) -> int:
    time.sleep(0.5)
    return i + j


def _busy(fleet: udfleet.Fleet, stop: threading.Event) -> None:
    """Slow calls, one after the other, until told to stop."""
    while not stop.is_set():
        fleet.call("nap", 1, 2)


def measure(fleets: Fleets) -> tuple[float, float]:
    """p99 of one-row calls of `add`, beside two clients that call `nap` all the time, and alone."""
    fleet, bigint = fleets.elastic, udfleet.DataTypes.BIGINT()
    fleet.register_function("add", functions.REGISTERED["add"])
    fleet.register_function("nap", udfleet.udf(_nap, input_types=[bigint, bigint], result_type=bigint))
    add = fleets.executor("add", fleet)
    alone = clients.latency(add, ONE, CALLS, percentile=99)
    stop = threading.Event()
    callers = [threading.Thread(target=_busy, args=(fleet, stop)) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        # Until the first slow call is known for what it is, and the environment has grown.
        fleet.call("nap", 1, 2)
        beside = clients.latency(add, ONE, CALLS, percentile=99)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    return beside, alone


def lines(fleets: Fleets) -> list[Line]:
    """One line."""
    return [
        Line(
            "one-row call beside two clients of a slow function in its environment, p99",
            "alone",
            3.0,
            "s",
            lambda: measure(fleets),
            at_most=True,
        )
    ]
