"""replay"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import output
from .local import secret_value
from .shared import connected, json_option

if TYPE_CHECKING:
    from .._replay.capsule_file import CapsuleFile
    from .._replay.replaying import Replayed


@click.command(short_help="Run a batch that failed again, here.")
@click.argument("capsule")
@click.option("--pdb", "debug", is_flag=True, help="Give this terminal to the debugger where the function raises.")
@click.option("--write-test", type=click.Path(dir_okay=False, path_type=Path), help="Write a pytest file that runs it.")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), help="Write the capsule into this file, and end."
)
@click.option("--secret", "secrets", multiple=True, help="NAME or NAME=FILE: a secret that the function asks for.")
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    capsule: str,
    debug: bool,
    write_test: Path | None,
    save: Path | None,
    secrets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the batch of CAPSULE on this machine, in the environment that its function was registered with.

    CAPSULE is what `udfleet errors` lists, or a file. Exit status 1: it still fails.
    """
    from .._replay import pytest_file, replaying

    if save is not None:
        if Path(capsule).is_file():
            raise click.UsageError("--save writes what a fleet has; CAPSULE is a file already")
        with connected(ctx) as fleet:
            fleet.save_capsule(capsule, save)
        output.say(f"{save} holds the capsule: values of the batch, so keep it as you keep these")
        return
    held = _read(ctx, capsule)
    if write_test is not None:
        beside = pytest_file.write_test(held, write_test)
        output.say(f"{write_test} runs {beside}, which holds values of the batch")
        return
    values = dict(secret_value(secret) for secret in secrets)
    if debug:
        ctx.exit(_debug(held, values))
    replayed = replaying.replay(held, secrets=values, on_event=output.say)
    _tell(held, replayed, as_json)
    ctx.exit(int(replayed.still_fails))


def _read(ctx: click.Context, capsule: str) -> CapsuleFile:
    from .._replay.capsule_file import CapsuleFile

    if Path(capsule).is_file():
        return CapsuleFile.read(capsule)
    with connected(ctx) as fleet:
        return CapsuleFile.decode(fleet._rpc.fetch_capsule(capsule), f"capsule {capsule}")


def _debug(held: CapsuleFile, secrets: dict[str, str]) -> int:
    from .._replay import debugger
    from .._replay.replaying import PrivateRun

    debugger.check(held)
    run = PrivateRun(held, None, secrets, output.say)
    try:
        if (error := run.ready()) is not None:
            output.fail(error)
            return 1
        return debugger.debug(held, run.environments, run.environment, secrets)
    finally:
        run.close()


def _tell(held: CapsuleFile, replayed: Replayed, as_json: bool) -> None:
    summary = held.message.summary
    if as_json:
        told = {"function": replayed.function, "still_fails": replayed.still_fails, "same": replayed.same}
        output.print_json({**told, "original": replayed.original, "error": replayed.error})
        return
    if summary.redacted:
        output.say(f"without the values of {', '.join(summary.redacted)}, which the function leaves out")
    if replayed.error is None:
        output.say(f"{replayed.function} does not fail any more; it failed with {replayed.original.code}")
        return
    how = "fails as before" if replayed.same else f"fails otherwise than before ({replayed.original.code})"
    output.say(f"{replayed.function} {how}:")
    output.fail(replayed.error)
