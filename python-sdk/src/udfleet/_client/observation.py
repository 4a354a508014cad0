"""What a fleet tells of itself: executors, numbers, errors, tables, lines that functions print."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, overload

import pyarrow as pa

from .. import __version__
from . import arguments, capsules, system_tables
from .capsules import CapsuleView
from .views import (
    ExecutorView,
    LogRecord,
    ProfileView,
    ProgressView,
    RowErrorsView,
    certificate_end,
    executor_view,
    log_record,
    profile_view,
    progress_view,
    row_errors_view,
)

if TYPE_CHECKING:
    from .._flight.directory import Directory
    from .._rpc import Rpc


class Observation:
    """The part of `Fleet` that changes nothing."""

    _rpc: Rpc
    _directory: Directory

    @property
    def http_address(self) -> str:
        """host:port of /metrics, /healthz and /readyz."""
        return self._rpc.server_info(__version__).http_address

    @property
    def meta_store_outage(self) -> str:
        """Why the coordinator's metadata store does not answer, so that registrations and drains fail; else empty."""
        return self._rpc.server_info(__version__).meta_store_outage

    @property
    def certificate_ends(self) -> datetime.datetime | None:
        """When the TLS certificate of the coordinator that answers does; None: it has none."""
        return certificate_end(self._rpc.server_info(__version__).certificate_ends_unix)

    def executors(self) -> list[ExecutorView]:
        """The executors of the fleet."""
        return [executor_view(info) for info in self._rpc.executors()]

    @overload
    def progress(self) -> list[ProgressView]: ...

    @overload
    def progress(self, name: str) -> ProgressView: ...

    def progress(self, name: str = "") -> ProgressView | list[ProgressView]:
        """Numbers of one function (`name` sums its versions, `name@3` is one), or of all functions as a list."""
        arguments.text(name, "the name of a function")
        views = [progress_view(message) for message in self._rpc.progress(name)]
        return views[0] if name and views else views

    def system_table(self, name: str) -> pa.Table:
        """What the fleet is and does now, as a table: `functions`, `calls`, `executors`, `environments`, `errors`,
        `events` or `waiting`. `events?after=12` gives those that came after number 12.
        """
        return system_tables.read(self._directory, f"system.{arguments.text(name, 'the name of a table')}")

    def row_errors(self, name: str = "") -> list[RowErrorsView]:
        """Rows of a function, or of all, that failed and became null or were left out, per executor.

        Only functions that are called with `on_error` `null` or `skip` have any.
        """
        arguments.text(name, "the name of a function")
        return [row_errors_view(kept) for kept in self._rpc.row_errors(name)]

    def capsules(self, name: str = "") -> list[CapsuleView]:
        """Batches of a function, or of all, that failed and are kept, the newest first.

        Only functions registered with the key `udfleet.capsules` keep any.
        """
        return capsules.listed(self._rpc, arguments.text(name, "the name of a function"))

    def save_capsule(self, capsule: str, path: str | os.PathLike[str]) -> None:
        """Writes a batch that failed into a new file, for `udfleet.replay`. It takes a token with the role `inspect`.

        :param capsule: the id of one of `capsules`.
        """
        capsules.save(self._rpc, arguments.text(capsule, "the id of a capsule"), path)

    def profile(self, name: str = "") -> list[ProfileView]:
        """Where a function, or all, spends its time, per executor.

        Only functions registered with the key `python.profile.enabled` are profiled.
        """
        arguments.text(name, "the name of a function")
        return [profile_view(profile) for profile in self._rpc.profile(name)]

    def logs(self, name: str = "", tail: int = 0, follow: bool = False) -> Iterator[LogRecord]:
        """What a function, or all, wrote to stdout and stderr: the newest `tail` lines, or all that is kept."""
        arguments.text(name, "the name of a function")
        lines = self._rpc.logs(name, arguments.tail(tail), bool(follow))
        return (log_record(line) for line in lines)
