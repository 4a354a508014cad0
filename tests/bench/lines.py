"""The lines of the table: what is measured, against what, and what it should reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import clients
import functions
import numpy as np
import pyarrow as pa
import yardsticks
from clients import Peer

import udfleet
from udfleet import LocalFleet

ROWS = 10_000
LARGE = 32_768
INTS = pa.record_batch({"i": np.arange(ROWS), "j": np.arange(ROWS)})
DOUBLES = pa.record_batch({"x": np.arange(ROWS, dtype="f8")})
MANY_DOUBLES = pa.record_batch({"x": np.arange(LARGE, dtype="f8")})
ONE = pa.record_batch({"i": [1], "j": [2]})
SPINS = pa.record_batch({"n": [yardsticks.SPIN] * yardsticks.SPIN_ROWS})


@dataclass
class Line:
    """One comparison. `measure` gives udfleet's figure and the other's, in `unit`."""

    name: str
    against: str
    goal: float | None
    """None: shown for comparison."""
    unit: str
    measure: Callable[[], tuple[float, float]]
    at_most: bool = False
    """The ratio should stay below the goal, not reach it."""


def contained_starts(fleet: LocalFleet) -> tuple[float, float]:
    """Seconds that an interpreter needs with its sandbox and without: the best of ten each."""
    commands = yardsticks.as_started(fleet.pids["executor-1"])
    starts = [[yardsticks.interpreter_start(command) for command in commands] for _ in range(10)]
    contained, free = (min(column) for column in zip(*starts, strict=True))
    return contained, free


def alternating(measure: Callable[[LocalFleet], float], ours: LocalFleet, theirs: LocalFleet) -> tuple[float, float]:
    """The best of five each, in turns: what else the machine does falls on both."""
    rounds = [(measure(ours), measure(theirs)) for _ in range(5)]
    return max(rate for rate, _ in rounds), max(rate for _, rate in rounds)


class Fleets:
    """The fleets and yardsticks of one run."""

    def __init__(self) -> None:
        self._open: list[object] = []
        try:
            self.echo = self.keep(yardsticks.echo())
            self.arrow_udf = self.keep(yardsticks.arrow_udf())
            self.one = self.keep(udfleet.local(executors=1, interpreters=1, max_interpreters=1))
            self.two = self.keep(udfleet.local(executors=1, interpreters=2, max_interpreters=2))
            self.open = self.keep(yardsticks.without_sandbox(lambda: udfleet.local(executors=1, interpreters=1)))
            self.elastic = self.keep(udfleet.local(executors=1, interpreters=2))
            self.routed = self.keep(udfleet.connect(self.one.address, self.one.token, direct=False))
            for name, function in functions.REGISTERED.items():
                self.one.register_function(name, function)
            for name in ("double_arrow", "double_pandas"):
                config = {"python.fn-execution.arrow.batch.size": LARGE}
                self.one.register_function(f"{name}_large", functions.REGISTERED[name], config=config)
            self.open.register_function("double_arrow", functions.REGISTERED["double_arrow"])
            self.two.register_function("spin", functions.REGISTERED["spin"])
        except BaseException:
            self.close()
            raise

    def keep(self, it):
        """Closed with the others."""
        self._open.append(it)
        return it

    def close(self) -> None:
        while self._open:
            self._open.pop().close()

    def executor(self, function: str, fleet: LocalFleet | None = None) -> Peer:
        """The executor of a fleet, the first where none is named, without the SDK's pipeline."""
        fleet = fleet or self.one
        address = fleet.executors()[0].address
        options = clients.flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {fleet.token}".encode())])
        return Peer(address, function, options)

    def echo_peer(self) -> Peer:
        return Peer(self.echo.address, "echo")


def streamed(fleet: udfleet.Fleet, function: str, batch: pa.RecordBatch, count: int) -> float:
    """Rows per second of `Fleet.stream`."""
    rows = 0

    def run() -> None:
        nonlocal rows
        rows = sum(len(answer) for answer in fleet.stream(function, (batch for _ in range(count))))

    seconds = clients.timed(run)
    assert rows == count * len(batch), f"{rows} rows came back for {count * len(batch)}"
    return rows / seconds


def plain_loop(count: int) -> float:
    """Rows per second of the same function in this process, over `to_pylist()` and back to Arrow."""

    def run() -> None:
        for _ in range(count):
            columns = (column.to_pylist() for column in INTS.columns)
            pa.array([functions.add(i, j) for i, j in zip(*columns, strict=True)], pa.int64())

    return count * ROWS / clients.timed(run)


def echoed(fleets: Fleets, name: str, function: str, batch: pa.RecordBatch, count: int) -> Line:
    """A function against the echo server, same batches, same client."""
    return Line(
        name,
        "echo server",
        0.7,
        "rows/s",
        lambda: (
            clients.link_rate(fleets.executor(function), batch, count),
            clients.link_rate(fleets.echo_peer(), batch, count),
        ),
    )


def call_latency(fleet: LocalFleet, function: str, batch: pa.RecordBatch, count: int) -> float:
    """Median seconds of `fleet.call` with Arrow columns, which is what people type."""
    columns = batch.columns
    fleet.call(function, *columns)
    return statistics.median(clients.timed(lambda: fleet.call(function, *columns)) for _ in range(count))


def lines(fleets: Fleets) -> list[Line]:
    """All of them, in the order in which they are shown."""
    one: LocalFleet = fleets.one
    echo = fleets.echo_peer()
    return [
        Line(
            "general scalar, BIGINT, 10,000-row batches, one interpreter, SDK to fleet and back",
            "a plain loop in this process over to_pylist()",
            1.0,
            "rows/s",
            lambda: (streamed(one, "add", INTS, 200), plain_loop(30)),
        ),
        Line(
            "the same, plain pyarrow client",
            "arrow-udf's Python server",
            8.0,
            "rows/s",
            lambda: (
                clients.plain_rate(fleets.executor("add"), INTS, 200),
                clients.plain_rate(Peer(fleets.arrow_udf.address, "add"), INTS, 20),
            ),
        ),
        echoed(fleets, "arrow scalar, DOUBLE, 10,000-row batches", "double_arrow", DOUBLES, 1500),
        echoed(fleets, "pandas scalar, DOUBLE, 10,000-row batches", "double_pandas", DOUBLES, 1500),
        echoed(fleets, "arrow scalar, DOUBLE, 32,768-row batches", "double_arrow_large", MANY_DOUBLES, 600),
        echoed(fleets, "pandas scalar, DOUBLE, 32,768-row batches", "double_pandas_large", MANY_DOUBLES, 600),
        Line(
            "one-row call on an open stream, p50",
            "echo server",
            1.6,
            "s",
            lambda: (clients.latency(fleets.executor("add"), ONE, 1500), clients.latency(echo, ONE, 1500)),
            at_most=True,
        ),
        Line(
            "one-row fleet.call, p50",
            "echo server, open stream",
            1.6,
            "s",
            lambda: (call_latency(one, "add", ONE, 1500), clients.latency(echo, ONE, 1500)),
            at_most=True,
        ),
        Line(
            "through the coordinator, general",
            "straight to the executor",
            0.6,
            "rows/s",
            lambda: (streamed(fleets.routed, "add", INTS, 200), streamed(one, "add", INTS, 200)),
        ),
        Line(
            "through the coordinator, arrow",
            "straight to the executor",
            0.6,
            "rows/s",
            lambda: (
                streamed(fleets.routed, "double_arrow", DOUBLES, 800),
                streamed(one, "double_arrow", DOUBLES, 800),
            ),
        ),
        Line(
            "two interpreters, a function that keeps a core busy",
            "one interpreter",
            1.8,
            "rows/s",
            lambda: (streamed(fleets.two, "spin", SPINS, 120), streamed(one, "spin", SPINS, 60)),
        ),
        Line(
            "for comparison: two bare Python processes, the same loop",
            "one process",
            None,
            "rows/s",
            lambda: (yardsticks.bare_loop(2, 60), yardsticks.bare_loop(1, 60)),
        ),
        Line(
            "a call on a fresh connection",
            "echo server",
            0.6,
            "calls/s",
            lambda: (
                1 / clients.fresh(fleets.executor("add"), ONE, 150),
                1 / clients.fresh(echo, ONE, 150),
            ),
        ),
        Line(
            "interpreter start, warm environment",
            "python -c pass",
            2.0,
            "s",
            lambda: (
                min(yardsticks.interpreter_start(yardsticks.uncontained()) for _ in range(5)),
                min(yardsticks.python_start() for _ in range(5)),
            ),
            at_most=True,
        ),
        Line(
            "interpreter start, in its sandbox",
            "without a sandbox",
            1.5,
            "s",
            lambda: contained_starts(one),
            at_most=True,
        ),
        Line(
            "arrow function, contained",
            "without a sandbox",
            0.9,
            "rows/s",
            lambda: alternating(
                lambda fleet: clients.link_rate(fleets.executor("double_arrow", fleet), DOUBLES, 200), one, fleets.open
            ),
        ),
    ]
