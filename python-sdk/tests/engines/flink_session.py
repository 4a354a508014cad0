"""A PyFlink session that tests talk to. Runs in Flink's Python; a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment

from udfleet.engines import flink


def start() -> TableEnvironment:
    """A table environment whose Python workers are processes, as on a cluster."""
    os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112 - PyFlink's own name for it
    table_env = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    for key, value in {
        "parallelism.default": "2",
        "python.executable": sys.executable,
        "python.fn-execution.arrow.batch.size": "2000",
        "table.local-time-zone": "UTC",
    }.items():
        table_env.get_config().set(key, value)
    numbers = DataTypes.ROW([DataTypes.FIELD("i", DataTypes.INT())])
    table_env.create_temporary_view("one_and_two", table_env.from_elements([(1,), (2,)], numbers))
    return table_env


def answer(table_env: TableEnvironment, register: list[Any] | None = None, sql: str | None = None) -> Any:
    """Registers a function, or runs a statement and gives its rows."""
    if register is not None:
        address, name, options = register
        return str(flink.register(table_env, address, name, **options)._name)
    with table_env.execute_sql(sql).collect() as rows:
        return [list(row) for row in rows]


def main() -> None:
    """Answers until stdin ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    table_env = start()
    for line in sys.stdin:
        try:
            done = {"value": answer(table_env, **json.loads(line))}
        except Exception as error:
            done = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(done, default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
