"""What a stream calls: a registered function, or a plan of several."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

import pyarrow.flight as flight

from .._proto.udfleet.v1 import exchange_pb2, function_pb2, plan_pb2
from ..errors import FunctionNotFoundError, UdfleetError
from . import codec
from .directory import ROUTE_SECONDS, Directory, places

MAX_ATTEMPTS = 3


class Describe(Protocol):
    """What has to be asked about functions when batches were lost."""

    def __call__(self, name: str) -> Any:
        """A FunctionView."""


class Target(ABC):
    """Who serves it, and how it is asked for."""

    def __init__(self, directory: Directory, name: str, describe: Describe, functions: Iterable[str]) -> None:
        self.directory = directory
        self.name = name
        """For errors; empty: a plan."""
        self._describe = describe
        self._functions = functions
        self._deterministic: bool | None = None

    @abstractmethod
    def executors(self) -> list[str]:
        """Addresses of peers that serve it; the coordinator's if no executor serves all of it."""

    @abstractmethod
    def latest_executors(self) -> list[str]:
        """Addresses that serve the same version by now, refreshed in the background. Never blocks.

        Empty where a newer version was registered meanwhile: one stream calls one version.
        """

    @abstractmethod
    def descriptor(self, address: str, producer: str) -> flight.FlightDescriptor:
        """How it is asked for at that peer, by a producer of batches."""

    @abstractmethod
    def forget(self) -> None:
        """Makes the next call of `executors` ask the coordinator again."""

    def max_attempts(self) -> int:
        """How often a batch may run; asked for when a batch was lost only.

        What is not deterministic may have side effects: it runs again only where its own configuration says so.
        """
        counts = []
        for name in self._functions:
            with contextlib.suppress(UdfleetError):
                view = self._describe(name)
                default = MAX_ATTEMPTS if view.deterministic else 1
                counts.append(int(view.config.get("udfleet.retry.max-attempts", default)))
        return min(counts, default=MAX_ATTEMPTS)

    def deterministic(self) -> bool:
        """Whether the same batch gives the same results; asked for when a batch was lost only."""
        if self._deterministic is None:
            try:
                self._deterministic = all(map(self._is_deterministic, self._functions))
            except UdfleetError:
                return False
        return self._deterministic

    def _is_deterministic(self, name: str) -> bool:
        try:
            return bool(self._describe(name).deterministic)
        except FunctionNotFoundError:
            # Names in plans that are not registered are built-in functions; a dropped function is not found.
            return True


class FunctionTarget(Target):
    """A registered function."""

    def __init__(
        self,
        directory: Directory,
        function: str,
        job: str,
        describe: Describe,
        on_error: function_pb2.OnError,
        bundles: bool = False,
    ) -> None:
        super().__init__(directory, function, describe, (function,))
        request = exchange_pb2.ExchangeRequest(function=function, job=job, on_error=on_error, bundle_progress=bundles)
        self._request = request.SerializeToString()
        request.refuse_if_busy = True
        self._choosy_request = request.SerializeToString()
        """An executor that can't run it soon refuses it: another may be idle, and the coordinator knows them all."""
        self._others = False
        """More than one executor serves it."""
        self._reference = ""

    def executors(self) -> list[str]:
        route = self.directory.route(self.name)
        self._reference = self._reference or route.reference
        self._others = len(route.executors) > 1
        return route.executors

    def latest_executors(self) -> list[str]:
        route = self.directory.latest_route(self.name)
        if route is None or route.reference != self._reference:
            return []
        self._others = len(route.executors) > 1
        return route.executors

    def descriptor(self, address: str, producer: str) -> flight.FlightDescriptor:
        choosy = self._others and address not in self.directory.coordinators.known
        return codec.descriptor(self._choosy_request if choosy else self._request, producer)

    def forget(self) -> None:
        self.directory.forget(self.name)


class PlanTarget(Target):
    """A plan. If it is a single stage, executors get that stage."""

    def __init__(
        self,
        directory: Directory,
        plan: plan_pb2.Plan,
        job: str,
        describe: Describe,
        functions: Iterable[str],
        on_error: function_pb2.OnError,
        bundles: bool = False,
    ) -> None:
        super().__init__(directory, "", describe, functions)
        request = exchange_pb2.ExchangeRequest(plan=plan, job=job, on_error=on_error, bundle_progress=bundles)
        self._request = request.SerializeToString()
        self._bundles = bundles
        self._stages: dict[str, bytes] | None = None
        self._versions: set[bytes] = set()
        """The stages that the first stream was opened for."""
        self._asked = 0.0
        self._described = codec.descriptor(self._request)
        self._lookup = directory.lookup(self._described)

    def executors(self) -> list[str]:
        if self._stages is None:
            self._stages = self._stages_of(self.directory.plan_info(self._described))
            self._versions = self._versions or set(map(_stage_of, self._stages.values()))
            self._asked = time.monotonic()
        return list(self._stages)

    def latest_executors(self) -> list[str]:
        if time.monotonic() >= self._asked + ROUTE_SECONDS:
            info = self._lookup.poll()
            if info is not None:
                self._asked = time.monotonic()
                served = self._stages_of(places(self.directory.take_ticket(info)))
                if self._versions.issuperset(map(_stage_of, served.values())):
                    self._stages = served
        return list(self._stages or ())

    def _stages_of(self, served: list[tuple[str, bytes]]) -> dict[str, bytes]:
        coordinators = self.directory.coordinators.known
        return {address: ticket for address, ticket in served if ticket and address not in coordinators}

    def _stage(self, ticket: bytes) -> bytes:
        if not self._bundles:
            return ticket
        request = _request_of(ticket)
        request.bundle_progress = True
        return request.SerializeToString()

    def descriptor(self, address: str, producer: str) -> flight.FlightDescriptor:
        ticket = (self._stages or {}).get(address)
        return codec.descriptor(self._request if ticket is None else self._stage(ticket), producer)

    def forget(self) -> None:
        self._stages = None


def _request_of(ticket: bytes) -> exchange_pb2.ExchangeRequest:
    return exchange_pb2.ExchangeRequest.FromString(ticket.removeprefix(codec.EXCHANGE_PREFIX))


def _stage_of(ticket: bytes) -> bytes:
    """Which versions it calls: what else a request says depends on how many executors there are."""
    return _request_of(ticket).stage.SerializeToString(deterministic=True)
