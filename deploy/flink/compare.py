"""One query with functions in PyFlink's own workers and on a fleet: `python compare.py ADDRESS FLIGHTS [ROUNDS]`.

ADDRESS is a coordinator's whose fleet has speed(BIGINT, DOUBLE) -> DOUBLE as a pandas function and speed_general, the
same as a general one; FLIGHTS a CSV file, or a folder of them, with distance and air_time. Prints the best of each.
"""

from __future__ import annotations

import os
import sys
import time

# As on a cluster: by default a local job's workers are threads of this process.
os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112 - PyFlink's own name for it

from pyflink.table import EnvironmentSettings, TableEnvironment
from pyflink.table.udf import udf

from udfleet.engines import flink


@udf(input_types=["BIGINT", "DOUBLE"], result_type="DOUBLE")
def local_general(distance, air_time):
    return None if air_time is None else distance / (air_time / 60)


@udf(input_types=["BIGINT", "DOUBLE"], result_type="DOUBLE", func_type="pandas")
def local_pandas(distance, air_time):
    return distance / (air_time / 60)


QUERIES = {
    "no function": "distance / (air_time / 60)",
    "PyFlink, general": "local_general(distance, air_time)",
    "PyFlink, pandas": "local_pandas(distance, air_time)",
    "fleet, general": "speed_general(distance, air_time)",
    "fleet, pandas": "speed(distance, air_time)",
}


def environment(address: str, path: str) -> TableEnvironment:
    """One with the flights, two local functions and two of the fleet."""
    table_env = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    for key, value in {
        "parallelism.default": "1",
        "python.executable": sys.executable,
        "python.fn-execution.arrow.batch.size": "10000",
        "python.fn-execution.bundle.size": "100000",
    }.items():
        table_env.get_config().set(key, value)
    table_env.create_temporary_system_function("local_general", local_general)
    table_env.create_temporary_system_function("local_pandas", local_pandas)
    flink.register(table_env, address, "speed")
    flink.register(table_env, address, "speed_general")
    options = f"'connector' = 'filesystem', 'path' = '{os.path.abspath(path)}', 'format' = 'csv'"
    table_env.execute_sql(
        f"CREATE TABLE flights (distance BIGINT, air_time DOUBLE) WITH ({options}, 'csv.null-literal' = '')"
    )
    return table_env


def seconds(table_env: TableEnvironment, call: str) -> tuple[float, list[object]]:
    """How long the query takes, and what it gives."""
    start = time.perf_counter()
    with table_env.execute_sql(f"SELECT COUNT(*), SUM({call}) FROM flights").collect() as rows:
        (row,) = rows
    return time.perf_counter() - start, list(row)


def main(address: str, path: str, rounds: str = "5") -> None:
    """Takes turns, so that what else the machine does hits all alike."""
    table_env = environment(address, path)
    best: dict[str, float] = {}
    for _ in range(int(rounds)):
        for name, call in QUERIES.items():
            taken, (rows, total) = seconds(table_env, call)
            best[name] = min(taken, best.get(name, taken))
            print(f"{name}: {taken:.1f} s, {rows} rows, sum {total:.0f}", file=sys.stderr, flush=True)
    for name, taken in best.items():
        print(f"{name:20} {taken:6.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
