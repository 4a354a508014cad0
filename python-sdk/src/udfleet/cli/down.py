"""down"""

from __future__ import annotations

import click

from ..errors import StartupError
from . import output

_STOP_SECONDS = 60.0


@click.command(short_help="Stop a fleet of `udfleet up`.")
@click.option("--all", "everything", is_flag=True, help="All fleets that you have started on this machine.")
@click.pass_context
def down(ctx: click.Context, everything: bool) -> None:
    """Stop the fleet that `udfleet up` runs on this machine at --address."""
    from .. import _fleet_record as record
    from .._address import addresses

    address = ctx.find_root().obj["address"]
    found = record.running()
    chosen = found if everything else [fleet for fleet in found if fleet.address in addresses(address)]
    if not chosen and not everything:
        others = ", ".join(fleet.address for fleet in found)
        raise StartupError(
            f"no fleet of `udfleet up` runs at {address} on this machine",
            hint=f"these run: {others}; name one: udfleet --address {found[0].address} down" if found else
            "a fleet that was started otherwise is stopped where it was started",
        )  # fmt: skip
    for fleet in chosen:
        if not fleet.stop(_STOP_SECONDS):
            raise StartupError(
                f"the fleet at {fleet.address} has not stopped within {_STOP_SECONDS:.0f} s",
                hint=f"see what process {fleet.pid} does",
            )
        output.say(f"the fleet at {fleet.address} has stopped")
    if not chosen:
        output.say("no fleet of `udfleet up` runs on this machine")
