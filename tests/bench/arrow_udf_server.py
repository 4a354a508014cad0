"""arrow-udf's own Python server with the same function; runs in a virtual environment of its own.

Prints its port once it listens, and serves until its standard input closes.
"""

import sys
import threading

from arrow_udf import UdfServer, udf


@udf(input_types=["BIGINT", "BIGINT"], result_type="BIGINT")
def add(i, j):
    return i + j


def main() -> None:
    server = UdfServer(location="127.0.0.1:0")
    server.add_function(add)
    print(f"port {server.port}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve()


if __name__ == "__main__":
    main()
