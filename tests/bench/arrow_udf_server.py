"""arrow-udf's own Python server with the same function; runs in a virtual environment of its own.

Prints its port once it listens, and serves until its standard input closes.
"""

import socket
import sys
import threading

from arrow_udf import UdfServer, udf


@udf(input_types=["BIGINT", "BIGINT"], result_type="BIGINT")
def add(i, j):
    return i + j


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    port = free_port()
    server = UdfServer(location=f"127.0.0.1:{port}")
    server.add_function(add)
    print(f"port {port}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve()


if __name__ == "__main__":
    main()
