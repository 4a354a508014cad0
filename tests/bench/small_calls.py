"""Lines for what engines do: small calls, each a DoExchange of its own, from a client in Rust."""

from __future__ import annotations

import subprocess

import yardsticks
from lines import Fleets, Line

CONNECTIONS, ROWS = 16, 256


def calls(address: str, function: str, token: str, count: int, *, fresh: bool) -> float:
    """Calls per second; with `fresh`, each on a connection of its own."""
    command = [str(yardsticks.BINARIES / "udfleet-engine-client"), address, function, token]
    command += [str(CONNECTIONS), str(count), str(ROWS), "fresh" if fresh else "kept"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def lines(fleets: Fleets) -> list[Line]:
    """All of them, in the order in which they are shown."""
    token = fleets.one.token or ""
    executor = fleets.one.executors()[0].address

    def small(address: str, count: int) -> float:
        return ROWS * calls(address, "add", token, count, fresh=False)

    def others(count: int) -> float:
        return ROWS * calls(fleets.arrow_udf.address, "add", "", count, fresh=False)

    return [
        Line(
            "256-row calls from 16 connections, to an executor",
            "arrow-udf's Python server",
            4.0,
            "rows/s",
            lambda: (small(executor, 8_000), others(1_600)),
        ),
        Line(
            "the same, through the coordinator",
            "arrow-udf's Python server",
            4.0,
            "rows/s",
            lambda: (small(fleets.one.address, 4_000), others(1_600)),
        ),
        Line(
            "256-row calls, a fresh connection each, 16 at a time",
            "echo server",
            0.6,
            "calls/s",
            lambda: (
                calls(executor, "add", token, 4_000, fresh=True),
                calls(fleets.echo.address, "echo", "", 4_000, fresh=True),
            ),
        ),
    ]
