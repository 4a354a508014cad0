"""up"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click

from ..errors import StartupError
from . import output
from .shared import chosen_token

_KEY_NOTE = (
    "\nits token, which your programs on this machine find by themselves, and which is not shown again:\n\n    {}\n"
)


@click.command(short_help="Run a fleet on this machine.")
@click.option("--executors", "-n", type=click.IntRange(min=1), default=2, show_default=True, help="Executor processes.")
@click.option(
    "--interpreters", type=click.IntRange(min=1), default=None, help="Interpreters per environment and executor."
)
@click.option("--listen", default="127.0.0.1:8815", show_default=True, help="Where the coordinator listens.")
@click.option("--http-listen", default="127.0.0.1:8816", show_default=True, help="Where it serves /metrics and health.")
@click.option("--data-dir", type=click.Path(file_okay=False), default=None, help="Keep registrations here.")
@click.option(
    "--secrets-dir",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    default=None,
    help="A folder with a file for each secret that functions may ask for.",
)
@click.option(
    "--secret",
    "secret_names",
    multiple=True,
    help="NAME: a secret whose value the variable of that name holds here; NAME=FILE: one that a file holds.",
)
@click.option("--detach", "-d", is_flag=True, help="Return once the fleet is up, and leave it running.")
@click.pass_context
def up(
    ctx: click.Context,
    executors: int,
    interpreters: int | None,
    listen: str,
    http_listen: str,
    data_dir: str | None,
    secrets_dir: str | None,
    secret_names: tuple[str, ...],
    detach: bool,
) -> None:
    """Run a fleet on this machine, until Ctrl-C or in the background."""
    from .._client.fleet import connect
    from .._fleet_record import recorded
    from .._local.fleet import Processes

    given = chosen_token(ctx.find_root().obj["token_file"])
    token = given or secrets.token_hex(32)
    _refuse_second(listen)
    if detach:
        options = ["--executors", str(executors), "--listen", listen, "--http-listen", http_listen]
        options += ["--interpreters", str(interpreters)] if interpreters else []
        options += ["--data-dir", data_dir] if data_dir else []
        options += ["--secrets-dir", secrets_dir] if secrets_dir else []
        options += [option for secret in secret_names for option in ("--secret", secret)]
        return _detach(options, token, given is None)
    processes = Processes(
        executors,
        interpreters,
        token=token,
        listen=listen,
        http_listen=http_listen,
        data_dir=data_dir,
        secrets_dir=secrets_dir,
        secret_values=dict(secret_value(secret) for secret in secret_names),
        report=output.say,
    )
    try:
        with connect(f"grpc+tcp://{processes.address}", token) as fleet:
            processes.wait_attached(fleet)
        with recorded(processes.address, token):
            output.say(f"the fleet is up; its dashboard is at http://{processes.http_address}/; Ctrl-C stops it\n")
            output.say(f'    import udfleet\n    fleet = udfleet.connect("{processes.address}")\n')
            output.say("or, for the udfleet command:")
            if given is None:
                output.say(_KEY_NOTE.format(token))
            print(f"export UDFLEET_ADDRESS={processes.address}", flush=True)
            _wait(processes.children)
    finally:
        output.say("stopping")
        processes.stop()


def secret_value(option: str) -> tuple[str, str]:
    """Its name and value. Values are no part of the command line, which everybody on the machine can read."""
    name, _, file = option.partition("=")
    if not file:
        if name not in os.environ:
            raise click.BadParameter(f"no variable {name} is set here", param_hint="'--secret'")
        return name, os.environ[name]
    try:
        return name, Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{name}: {file}: {error}", param_hint="'--secret'") from error


def _refuse_second(listen: str) -> None:
    """Says what to do where a fleet of `udfleet up` runs at that address already."""
    from .. import _fleet_record as record

    running = record.find(listen)
    if running is not None:
        raise StartupError(
            f"a fleet runs at {listen} already (process {running.pid})",
            hint=f"use it, or stop it with `udfleet --address {listen} down`, or start another one: --listen HOST:PORT",
        )


def _detach(options: list[str], token: str, show: bool) -> None:
    """Runs `up` in a session of its own, and passes on what it says until the fleet is up."""
    descriptor, log = tempfile.mkstemp(prefix="udfleet-up-", suffix=".log")
    environment = {**os.environ, "UDFLEET_TOKEN": token}
    process = subprocess.Popen(
        [sys.executable, "-m", "udfleet", "up", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=descriptor,
        start_new_session=True,
        env=environment,
        text=True,
    )
    os.close(descriptor)
    # The one line that it prints says that the fleet is up.
    address = process.stdout.readline() if process.stdout else ""
    said = Path(log).read_text(errors="replace")
    if not address:
        Path(log).unlink()
        raise StartupError(f"the fleet did not start (status {process.wait()}):\n{said.rstrip()}")
    bare = address.strip().partition("=")[2]
    how = f"its log is {log}; stop it with: udfleet --address {bare} down"
    output.say(said.replace("Ctrl-C stops it", how).rstrip())
    if show:
        output.say(_KEY_NOTE.format(token))
    print(address, end="", flush=True)


def _wait(children: list) -> None:  # type: ignore[type-arg]
    """Until a signal, or until one of the processes has ended."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(0.5):
        for child in children:
            if not child.alive():
                raise child.failure("ended unexpectedly")
