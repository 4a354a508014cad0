"""A PyFlink Table job whose function runs on a fleet: `python job.py ADDRESS FLIGHTS.CSV`.

ADDRESS is the coordinator's; the fleet has a function speed(BIGINT, DOUBLE) -> DOUBLE: see
docs/engines/flink.md. No Python runs in Flink but what passes batches on.
"""

from __future__ import annotations

import os
import sys

from pyflink.table import EnvironmentSettings, TableEnvironment

from udfleet.engines import flink


def main(address: str, path: str) -> None:
    """Prints the mean speed of flights by the airport that they left from."""
    table_env = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    config = table_env.get_config()
    config.set("python.executable", sys.executable)
    # A call of the fleet is a batch of this many rows.
    config.set("python.fn-execution.arrow.batch.size", "10000")
    config.set("python.fn-execution.bundle.size", "100000")

    flink.register(table_env, address, "speed")
    table_env.execute_sql(f"""
        CREATE TABLE flights (
            `year` BIGINT, `month` BIGINT, `day` BIGINT, dep_delay DOUBLE, carrier STRING, origin STRING, dest STRING,
            distance BIGINT, air_time DOUBLE
        ) WITH (
            'connector' = 'filesystem', 'path' = '{os.path.abspath(path)}', 'format' = 'csv', 'csv.null-literal' = ''
        )
    """)
    table_env.execute_sql("""
        SELECT origin, ROUND(AVG(speed(distance, air_time)), 1) AS mph, COUNT(*) AS flights
        FROM flights GROUP BY origin ORDER BY origin
    """).print()


if __name__ == "__main__":
    main(*sys.argv[1:])
