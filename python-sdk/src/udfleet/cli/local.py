"""up"""

from __future__ import annotations

import signal
import threading

import click

from .._client.fleet import connect
from . import output


@click.command()
@click.option("--executors", "-n", default=2, show_default=True, help="Executor processes.")
@click.option("--interpreters", type=int, default=None, help="Interpreters per environment and executor.")
@click.option("--listen", default="127.0.0.1:8815", show_default=True, help="Where the coordinator listens.")
@click.option("--http-listen", default="127.0.0.1:8816", show_default=True, help="Where it serves /metrics and health.")
@click.option("--data-dir", type=click.Path(file_okay=False), default=None, help="Keep registrations here.")
@click.pass_context
def up(
    ctx: click.Context,
    executors: int,
    interpreters: int | None,
    listen: str,
    http_listen: str,
    data_dir: str | None,
) -> None:
    """Run a fleet on this machine until Ctrl-C."""
    from .._local.fleet import Processes

    _, token = ctx.find_root().obj
    processes = Processes(
        executors,
        interpreters,
        token=token,
        listen=listen,
        http_listen=http_listen,
        data_dir=data_dir,
        report=output.say,
    )
    try:
        with connect(processes.address, token) as fleet:
            processes.wait_attached(fleet)
        output.say(f"the fleet is up; metrics at http://{processes.http_address}/metrics; Ctrl-C stops it\n")
        print(f"export UDFLEET_ADDRESS={processes.address}", flush=True)
        if token:
            output.say("and set UDFLEET_TOKEN to the token given here")
        output.say(f'\n    import udfleet\n    fleet = udfleet.connect("{processes.address}")\n')
        _wait(processes.children)
    finally:
        output.say("stopping")
        processes.stop()


def _wait(children: list) -> None:  # type: ignore[type-arg]
    """Until a signal, or until one of the processes has ended."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(0.5):
        for child in children:
            if not child.alive():
                raise child.failure("ended unexpectedly")
