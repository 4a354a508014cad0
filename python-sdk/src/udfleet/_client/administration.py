"""What an operator does with a fleet: who may use it, backups, executors that go out of service."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import arguments, backup
from . import tenants as tenant_calls
from . import tokens as token_calls
from .backup import BackupSummary
from .tenants import TenantView
from .tokens import NewToken, TokenView
from .views import ExecutorView, RestartView, executor_view, restart_view

if TYPE_CHECKING:
    from .._rpc import Rpc
    from .inline import FleetFunctions


class Administration:
    """The part of `Fleet` that operators use."""

    _rpc: Rpc
    _functions: FleetFunctions

    def create_token(
        self,
        name: str,
        roles: Sequence[str] = (),
        *,
        functions: Sequence[str] = (),
        tenant: str = "",
        expires: datetime.timedelta | None = None,
        join: bool = False,
    ) -> NewToken:
        """Makes a token. Its text is in what this returns, and nowhere else: the fleet keeps a hash.

        :param roles: of `admin`, `register`, `call`, `observe`, `inspect`.
        :param functions: patterns of the functions that it may register, drop and call; none: all.
        :param tenant: whose use it counts as; empty: its name.
        :param expires: how long it lasts; None: for ever, or a day for a join token.
        :param join: lets the executor `name` join the fleet, once.
        """
        name = arguments.text(name, "the name of a token")
        return token_calls.create(self._rpc, name, roles, functions, tenant, expires, join)

    def tokens(self) -> list[TokenView]:
        """All tokens and credentials of executors, without their secrets."""
        return list(token_calls.listed(self._rpc))

    def revoke_token(self, name: str, kind: str = "roles") -> TokenView:
        """Lets the holder of a token in no longer. Streams that are open go on; an executor is detached.

        :param kind: `roles`, or `join` or `executor` for those of an executor.
        """
        return token_calls.revoke(self._rpc, arguments.text(name, "the name of a token"), kind)

    def tenants(self) -> list[TenantView]:
        """What tenants have registered, what they do at this coordinator, and what they may."""
        return list(tenant_calls.listed(self._rpc))

    def backup(self, folder: str, report: Callable[[str], None] | None = None) -> BackupSummary:
        """Writes all registered functions and their files into a new folder. The fleet goes on meanwhile.

        :param report: gets lines about what is going on.
        :raises InvalidInputError: the folder exists or can't be written; nothing is left of it then.
        """
        return backup.backup(self._rpc, arguments.text(folder, "folder"), report or _silent)

    def restore(self, folder: str, report: Callable[[str], None] | None = None) -> BackupSummary:
        """Registers what a backup holds, under the same versions. Nothing is overwritten.

        All is checked before anything is changed. A restore that was interrupted can be run again.

        :raises InvalidInputError: the backup is damaged, or a function is there with another definition.
        """
        try:
            return backup.restore(self._rpc, arguments.text(folder, "folder"), report or _silent)
        finally:
            self._functions.forget()

    def drain(self, executor: str, undo: bool = False) -> ExecutorView:
        """Takes an executor out of service once what runs has finished; `undo` takes it back."""
        return executor_view(self._rpc.drain(arguments.text(executor, "the id of an executor"), bool(undo)))

    def restart(self, name: str = "") -> list[RestartView]:
        """Replaces the interpreters that serve a function, or all, one after the other; running calls end first.

        New interpreters see secrets as they are now. Functions that share interpreters with it get new ones too.
        """
        arguments.text(name, "the name of a function")
        return [restart_view(done) for done in self._rpc.restart(name)]


def _silent(_: str) -> None:
    pass
