"""Serves the functions with arrow-udf or databend-udf, as PyPI has them: `reference_server.py arrow-udf`.

Prints its port and ends with its standard input. Runs in the environment of requirements-reference.lock.
"""

from __future__ import annotations

import os
import sys
import threading

from remote_functions import FUNCTIONS


def _arrow_udf(location):
    import arrow_udf

    server = arrow_udf.UdfServer(location=location)
    for name, (body, types, table) in FUNCTIONS.items():
        if types.arrow_udf is not None:
            declare = arrow_udf.udtf if table else arrow_udf.udf
            server.add_function(declare(*types.arrow_udf, name=name)(body))
    return server


def _databend_udf(location):
    import databend_udf

    server = databend_udf.UDFServer(location=location)
    for name, (body, types, _) in FUNCTIONS.items():
        if types.databend is not None:
            server.add_function(databend_udf.udf(*types.databend, name=name)(body))
    return server


def main():
    server = {"arrow-udf": _arrow_udf, "databend-udf": _databend_udf}[sys.argv[1]]("127.0.0.1:0")
    # Calls that hang do not keep it.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(f"\nready 127.0.0.1:{server.port}", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
