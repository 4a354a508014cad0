"""Fifty open dashboards: what they cost the coordinator, and a one-row call beside them."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator

import clients
import functions
import processes
from lines import ONE, Fleets, Line

import udfleet

VIEWERS = 50
TOPICS = "overview,functions,executors"
CALLS = 1_000


def _read(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
    """Reads the stream as a browser does, and throws it away."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
        while answer.read1(1 << 16):
            pass
    connection.close()


@contextlib.contextmanager
def _viewers(fleet: udfleet.LocalFleet) -> Iterator[None]:
    opened = []
    headers = {"Authorization": f"Bearer {fleet.token}"}
    for _ in range(VIEWERS):
        connection = http.client.HTTPConnection(fleet.http_address, timeout=30)
        connection.request("GET", f"/api/v1/events?topics={TOPICS}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the stream was refused: {answer.status}")
        reader = threading.Thread(target=_read, args=(connection, answer), daemon=True)
        reader.start()
        opened.append(connection)
    try:
        yield
    finally:
        for connection in opened:
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(2)


def cost() -> dict[str, float]:
    """Share of one core that the coordinator of a fleet of 100 called functions takes, with viewers and without."""
    with udfleet.local(executors=1) as fleet:
        for index in range(100):
            fleet.register_function(f"add{index}", functions.REGISTERED["add"])
        for index in range(100):
            fleet.call(f"add{index}", 1, 2)
        coordinator = fleet.pids["coordinator"]
        [alone] = processes.shares(coordinator)
        with _viewers(fleet):
            [watched] = processes.shares(coordinator)
    return {"alone": alone * 100, f"with {VIEWERS} viewers": watched * 100}


def measure(fleets: Fleets) -> tuple[float, float]:
    """p50 of one-row calls of `add`, while dashboards are open and while none is."""
    fleet = fleets.elastic
    fleet.register_function("add", functions.REGISTERED["add"])
    add = fleets.executor("add", fleet)
    alone = clients.latency(add, ONE, CALLS)
    with _viewers(fleet):
        watched = clients.latency(add, ONE, CALLS)
    return watched, alone


def lines(fleets: Fleets) -> list[Line]:
    """One line."""
    return [
        Line(
            f"one-row call while {VIEWERS} dashboards are open, p50",
            "none is",
            1.2,
            "s",
            lambda: measure(fleets),
            at_most=True,
        )
    ]
