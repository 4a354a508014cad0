"""Tables about the fleet, as a coordinator gives them over Flight."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.flight as flight

from .. import _failures, _fork
from .._coordinators import Attempts
from .._flight.directory import Directory
from .._rpc import CALL_SECONDS, HANGING_SECONDS
from ..errors import UdfleetError

NAMES = ("functions", "calls", "executors", "environments", "errors", "events", "waiting")


def read(directory: Directory, ticket: str) -> pa.Table:
    """The table that a ticket names: `system.functions`. The next coordinator is asked where one is away."""
    _fork.check()
    attempts = Attempts(directory.coordinators)
    for address in attempts:
        try:
            table = _read(directory, address, ticket, HANGING_SECONDS if attempts.others else CALL_SECONDS)
        except UdfleetError as error:  # noqa: PERF203
            attempts.failed(address, error)
        else:
            attempts.answered(address)
            return table
    raise attempts.failure()


def _read(directory: Directory, address: str, ticket: str, seconds: float) -> pa.Table:
    options = directory.control_options(seconds)
    try:
        return directory.client(address).do_get(flight.Ticket(ticket.encode()), options).read_all()
    except (pa.ArrowException, OSError) as error:
        raise _failures.from_flight(error, address) from None
