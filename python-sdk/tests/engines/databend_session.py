"""Databend itself, in this process: `databend_session.py config.toml tenant`; a statement a line in, its rows a line out.

Both lines are JSON. Runs in the environment of requirements-databend.lock.
"""

from __future__ import annotations

import json
import os
import sys


def start(config, tenant):
    """A session; old builds look for their settings themselves."""
    os.environ["CONFIG_FILE"] = config
    import databend

    if hasattr(databend, "init_service"):
        databend.init_service(config=config)
    return databend.SessionContext(tenant)


def rows(session, statement):
    """What the statement gives, as lists of values."""
    batches = session.sql(statement).to_py_arrow()
    return [list(row.values()) for batch in batches for row in batch.to_pylist()]


def main():
    answers = os.fdopen(os.dup(1), "w")
    # What the engine prints is for the log.
    os.dup2(2, 1)
    session = start(*sys.argv[1:])
    for line in sys.stdin:
        try:
            answer = {"value": rows(session, json.loads(line))}
        except Exception as error:
            # Behind the first lines there is a stack.
            answer = {"error": str(error).partition("\n\n")[0]}
        print(json.dumps(answer, default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
