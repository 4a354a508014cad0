"""Runs in the Python of a function's environment (CPython 3.9 and newer), started by `debugger`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import linecache
import os
import pdb
import pickle
import sys
import traceback
from typing import Any


def main(path: str) -> int:
    """Runs the job; 1 where it raised."""
    with open(path, "rb") as file:
        # Rows are of this package.
        sys.path.append(os.path.dirname(path))
        job = pickle.load(file)  # noqa: S301 - written by the process that starts this one
    sys.path[:1] = job["sys_path"]
    if job["pickle_support"]:
        support = os.path.join(job["sdk"], "support.zip")
        with open(support, "wb") as file:
            file.write(job["pickle_support"])
        sys.path.insert(0, support)
    for name, text in job["sources"].items():
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    try:
        function = opened(pickle.loads(job["payload"]), job)  # noqa: S301 - what the user wants to run
        run(function, job)
    except Exception:
        traceback.print_exc()
        pdb.post_mortem(sys.exc_info()[2])
        return 1
    sys.stderr.write("{}: no row fails\n".format(job["name"]))
    return 0


def opened(function: Any, job: dict[str, Any]) -> Any:
    """What to call."""
    module = sys.modules.get("udfleet.functions")
    if module is None or not isinstance(function, module.UserDefinedFunction):
        return function
    from udfleet import FunctionContext

    finish(function.open(FunctionContext(None, job["parameters"])))
    return function.eval


def run(function: Any, job: dict[str, Any]) -> None:
    """The row that failed first, then all."""
    if job["func_type"] in ("PANDAS", "ARROW"):
        import pyarrow

        table = pyarrow.ipc.open_stream(job["batch"]).read_all()
        columns = [column.combine_chunks() for column in table.columns]
        if job["func_type"] == "PANDAS":
            columns = [column.to_pandas() for column in columns]
        finish(function(*columns))
        return
    rows = list(zip(*job["columns"])) if job["columns"] else [()] * job["rows"]
    first = [] if job["row"] is None else [job["row"]]
    for row in first + list(range(len(rows))):
        finish(function(*rows[row]))


def finish(value: Any) -> Any:
    """Runs what an `async def` gave, and goes through what a table function gives."""
    if inspect.isawaitable(value):
        return finish(loop().run_until_complete(wait(value)))
    if inspect.isgenerator(value):
        return list(value)
    return value


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """One for the process, as an interpreter has it: what `open` makes is used by rows."""
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    return made


async def wait(value: Any) -> Any:
    """A coroutine for any awaitable."""
    return await value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
