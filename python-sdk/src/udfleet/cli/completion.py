"""completion"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Completion for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, options and names of functions.

    For bash, for instance: eval "$(udfleet completion bash)" in ~/.bashrc.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    root = ctx.find_root()
    print(found(root.command, {}, "udfleet", "_UDFLEET_COMPLETE").source())
