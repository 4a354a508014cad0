"""The servers that calls are sent to: udfleet's, and those of other people as a reference."""

from __future__ import annotations

import contextlib
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flight_wire
import pyarrow as pa
from fleet_support import eventually
from pyarrow import flight
from remote_functions import FUNCTIONS

import udfleet
from udfleet import udf, udtf
from udfleet._local.fleet import Processes

ROOT = Path(__file__).resolve().parents[3]

# How a client behaves that expects what this server would answer.
AS_CLIENT_OF = {"arrow-udf": flight_wire.arrow_udf, "databend-udf": flight_wire.databend}


def serves(name: str, function: str) -> bool:
    """Whether that server has words for the function's types."""
    types = FUNCTIONS[function].types
    return (types.arrow_udf if name == "arrow-udf" else types.databend) is not None


@contextlib.contextmanager
def reference(name: str) -> Iterator[str]:
    """A server from PyPI, in a process of its own: its address."""
    python = ROOT / "target" / "reference" / "bin" / "python"
    command = [str(python), str(Path(__file__).with_name("reference_server.py")), name]
    log = ROOT / "target" / "test-logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        assert server.stdin is not None and server.stdout is not None
        with server.stdin:
            for line in server.stdout:
                if line.startswith("ready "):
                    yield line.split()[1]
                    return
            raise AssertionError(f"{name} did not start: {log.read_text()}")


class Endpoints:
    """A fleet without a token, and the addresses that engines may call."""

    def __init__(self, processes: Processes, fleet: udfleet.Fleet) -> None:
        self.processes, self.fleet = processes, fleet
        self.addresses = {"coordinator": processes.address, "executor": fleet.executors()[0].address}

    def __iter__(self) -> Iterator[str]:
        return iter(self.addresses.values())

    def metrics(self) -> str:
        """The coordinator's page."""
        with urllib.request.urlopen(f"http://{self.processes.http_address}/metrics") as response:
            return str(response.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """A counter of the coordinator, over all that have these labels; 0 before its first event."""
        found = 0.0
        for line in self.metrics().splitlines():
            matched = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
            if matched and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', matched[1] or "")).items():
                found += float(matched[2])
        return found

    def lose_executors(self) -> None:
        """Ends them; returns when the coordinator knows."""
        for child in self.processes.children[1:]:
            child.terminate()
            child.reap()
        eventually("they have stopped", lambda: {executor.state for executor in self.fleet.executors()} == {"stopped"})


@contextlib.contextmanager
def endpoints(**options: Any) -> Iterator[Endpoints]:
    processes = Processes(2, 1, report=lambda _: None, **options)
    try:
        with udfleet.connect(processes.address, options.get("token")) as fleet:
            processes.wait_attached(fleet)
            for name, (body, types, table) in FUNCTIONS.items():
                declare = udtf if table else udf
                fleet.register_function(name, declare(body, *types.udfleet))
            yield Endpoints(processes, fleet)
    finally:
        processes.stop()


def gated(client: flight_wire.Wire, gate: Path) -> flight_wire.Call:
    """A call that ends when the file exists; its headers have come."""
    call = client.open(iter(flight_wire.frames("gated", batch(path=[str(gate)]))))
    call.wait_headers()
    return call


def connect(address: str) -> flight.FlightClient:
    """Pyarrow's own client, with a connection of its own."""
    return flight.FlightClient(f"grpc://{address}", generic_options=[("grpc.use_local_subchannel_pool", 1)])


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.record_batch(columns)


def no_columns(rows: int) -> pa.RecordBatch:
    """What functions without arguments are called with."""
    return pa.record_batch({"gone": pa.nulls(rows)}).select([])


DECIMAL_TEXT = b"arrowudf.decimal"


def is_decimal_text(field: pa.Field) -> bool:
    """A decimal as arrow-udf carries it."""
    return (field.metadata or {}).get(b"ARROW:extension:name") == DECIMAL_TEXT


def _sent(field: pa.Field, value: Any) -> Any:
    if value is None:
        return None
    if pa.types.is_list(field.type):
        return [_sent(field.type.value_field, part) for part in value]
    return format(value, "f") if is_decimal_text(field) else value


def given(field: pa.Field, values: list[Any]) -> pa.RecordBatch:
    """One column of values as a client of the signature makes it."""
    column = pa.array([_sent(field, value) for value in values], field.type)
    return pa.record_batch([column], schema=pa.schema([field]))
