"""The coordinator's control services over one gRPC channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import pyarrow.flight as flight
from google.protobuf.message import Message

from . import _failures, _fork
from ._grpc import grpc
from ._proto.udfleet.v1 import cluster_pb2 as cluster
from ._proto.udfleet.v1 import fleet_pb2 as fleet
from ._proto.udfleet.v1 import plan_pb2 as plan
from .errors import UnreachableError

MAX_CONTROL_BYTES = 16 << 20
CALL_SECONDS = 30.0
"""Deadline of calls that only ask."""

_Answer = TypeVar("_Answer", bound=Message)


class Rpc:
    """Typed calls; every failure is a UdfleetError. Thread-safe; the channel reconnects by itself."""

    def __init__(self, address: str, token: str | None) -> None:
        self.address = address
        self.token = token
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        options = [
            ("grpc.max_receive_message_length", MAX_CONTROL_BYTES),
            ("grpc.max_send_message_length", MAX_CONTROL_BYTES),
            # A fleet that restarts should be found again at once, not after gRPC's two minutes of backoff.
            ("grpc.initial_reconnect_backoff_ms", 100),
            # Also how long a connection may take; 20 s by default.
            ("grpc.min_reconnect_backoff_ms", 2000),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        _fork.check()
        with _fork.without_grpc_fork_support():
            self._open_channel = grpc.insecure_channel(address, options=options)
        self._closed = False
        _fork.holds_connection(self)

    def close(self) -> None:
        """Closes the channel; running calls end with an error."""
        self._closed = True
        if not _fork.inherited():
            self._open_channel.close()

    @property
    def _channel(self) -> grpc.Channel:
        _fork.check()
        if self._closed:
            raise UnreachableError(f"this connection to {self.address} is closed", hint="connect again")
        return self._open_channel

    def _unary(self, method: str, request: Message, answer: type[_Answer], timeout: float = CALL_SECONDS) -> _Answer:
        call = self._channel.unary_unary(f"/udfleet.v1.{method}", type(request).SerializeToString, answer.FromString)
        result: _Answer = self._wait(call.future(request, timeout=timeout, metadata=self._metadata))
        return result

    def _wait(self, call: Any) -> Any:
        # Asked for by `future`, because gRPC's own waiting lets Ctrl-C wait for 200 ms.
        try:
            return call.result()
        except grpc.RpcError as error:
            raise _failures.from_grpc(error, self.address) from None
        except BaseException:
            call.cancel()
            raise

    def _stream(
        self, method: str, request: Message, answer: type[_Answer], timeout: float | None = None
    ) -> Iterator[_Answer]:
        call = self._channel.unary_stream(f"/udfleet.v1.{method}", type(request).SerializeToString, answer.FromString)
        answers: Any = call(request, timeout=timeout, metadata=self._metadata)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise _failures.from_grpc(error, self.address) from None
        finally:
            answers.cancel()

    def server_info(self, version: str) -> fleet.ServerInfoResponse:
        """Who answers; refused when the versions don't match."""
        return self._unary("Fleet/ServerInfo", fleet.ServerInfoRequest(version=version), fleet.ServerInfoResponse)

    def register(
        self, request: fleet.RegisterFunctionRequest, timeout: float | None
    ) -> Iterator[fleet.RegistrationEvent]:
        """Events of a registration; the last is `ready` or `failed`."""
        return self._stream("Fleet/RegisterFunction", request, fleet.RegistrationEvent, timeout)

    def describe(self, name: str) -> fleet.FunctionInfo:
        """One function."""
        return self._unary("Fleet/DescribeFunction", fleet.DescribeFunctionRequest(name=name), fleet.FunctionInfo)

    def functions(self, all_versions: bool) -> Iterator[fleet.FunctionInfo]:
        """All functions, without their source files."""
        request = fleet.ListFunctionsRequest(all_versions=all_versions)
        while True:
            page = self._unary("Fleet/ListFunctions", request, fleet.ListFunctionsResponse)
            yield from page.functions
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def drop(self, name: str) -> list[str]:
        """Drops a function or one version; returns what was dropped."""
        request = fleet.DropFunctionRequest(name=name)
        return list(self._unary("Fleet/DropFunction", request, fleet.DropFunctionResponse).dropped)

    def executors(self) -> Iterator[fleet.ExecutorInfo]:
        """All executors."""
        request = fleet.ListExecutorsRequest()
        while True:
            page = self._unary("Fleet/ListExecutors", request, fleet.ListExecutorsResponse)
            yield from page.executors
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def drain(self, executor: str, undo: bool) -> fleet.ExecutorInfo:
        """Takes an executor out of service, or back into it."""
        request = fleet.DrainExecutorRequest(executor=executor, undo=undo)
        return self._unary("Fleet/DrainExecutor", request, fleet.DrainExecutorResponse).executor

    def progress(self, function: str) -> Iterator[fleet.FunctionProgress]:
        """Numbers per function."""
        request = fleet.ProgressRequest(function=function)
        while True:
            page = self._unary("Fleet/Progress", request, fleet.ProgressResponse)
            yield from page.functions
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def explain(self, plan: plan.Plan) -> fleet.ExplainResponse:
        """How a plan would run."""
        return self._unary("Fleet/Explain", fleet.ExplainRequest(plan=plan), fleet.ExplainResponse)

    def row_errors(self, function: str) -> Iterator[cluster.KeptRowErrors]:
        """Rows that failed and did not fail their streams."""
        request = cluster.RowErrorsRequest(function=function)
        for answer in self._stream("Fleet/RowErrors", request, cluster.RowErrorsResponse, CALL_SECONDS):
            yield from answer.functions

    def profile(self, function: str) -> Iterator[cluster.FunctionProfile]:
        """Where functions spend their time."""
        request = cluster.ProfileRequest(function=function)
        for answer in self._stream("Fleet/Profile", request, cluster.ProfileResponse, CALL_SECONDS):
            yield from answer.functions

    def logs(self, function: str, tail: int, follow: bool) -> Iterator[cluster.LogLine]:
        """What functions wrote to stdout and stderr."""
        request = cluster.LogsRequest(function=function, tail=tail, follow=follow)
        return self._stream("Fleet/Logs", request, cluster.LogLine)

    def flight_info(self, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """Who serves a function or a plan. Asked here, because pyarrow's client keeps no details of an error."""
        return self._wait(self.begin_flight_info(descriptor))

    def begin_flight_info(self, descriptor: flight.FlightDescriptor) -> Any:
        """The same without waiting: gRPC's future of the answer."""
        call = self._channel.unary_unary(
            "/arrow.flight.protocol.FlightService/GetFlightInfo",
            flight.FlightDescriptor.serialize,
            flight.FlightInfo.deserialize,
        )
        return call.future(descriptor, timeout=CALL_SECONDS, metadata=self._metadata)

    def missing(self, hashes: list[str]) -> set[str]:
        """Which of these artifacts the coordinator lacks."""
        request = fleet.MissingArtifactsRequest(hashes=hashes)
        return set(self._unary("Artifacts/Missing", request, fleet.MissingArtifactsResponse).hashes)

    def put(self, chunks: Iterator[fleet.ArtifactChunk], timeout: float | None) -> None:
        """Sends one artifact."""
        call = self._channel.stream_unary(
            "/udfleet.v1.Artifacts/Put", fleet.ArtifactChunk.SerializeToString, fleet.PutArtifactResponse.FromString
        )
        self._wait(call.future(chunks, timeout=timeout, metadata=self._metadata))
