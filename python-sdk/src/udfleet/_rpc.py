"""The coordinators' control services: one gRPC channel to each that is asked, and the next one where one is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow.flight as flight
from google.protobuf.message import Message

from . import _failures, _fork
from ._coordinators import Attempts, Coordinators
from ._credentials import TokenSource
from ._grpc import grpc
from ._log_position import LogPosition
from ._proto.udfleet.v1 import capsule_pb2 as capsule
from ._proto.udfleet.v1 import cluster_pb2 as cluster
from ._proto.udfleet.v1 import fleet_pb2 as fleet
from ._proto.udfleet.v1 import keyed_pb2 as keyed
from ._proto.udfleet.v1 import plan_pb2 as plan
from ._tls import TlsFiles, TlsSource, TlsTexts
from .errors import FunctionNotFoundError, UdfleetError, UnreachableError

MAX_CONTROL_BYTES = 16 << 20
CALL_SECONDS = 30.0
"""Deadline of calls that only ask."""
HANGING_SECONDS = 10.0
"""The same while there are other coordinators to ask: one that hangs takes connections, and answers nothing."""
LEARN_SECONDS = 15.0
"""How often coordinators are asked which others there are."""

MAX_BUNDLE_BYTES = (256 << 20) + MAX_CONTROL_BYTES
"""Of streams with keyed state, in one message: only a single row has more than a few MiB."""

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_BUNDLE_BYTES),
    ("grpc.max_send_message_length", MAX_BUNDLE_BYTES),
    # A coordinator that hangs without closing its connection is given up after this.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # A fleet that restarts should be found again at once, not after gRPC's two minutes of backoff.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Also how long a connection may take; 20 s by default.
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


def _opened(address: str, tls: TlsTexts | None) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    ca, cert, key = tls
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert), options=_OPTIONS)


_Answer = TypeVar("_Answer", bound=Message)
_PageRequest = (
    fleet.ListFunctionsRequest
    | fleet.ListTokensRequest
    | fleet.ListTenantsRequest
    | fleet.ListExecutorsRequest
    | fleet.ProgressRequest
    | keyed.ListStreamsRequest
)
_Page = TypeVar(
    "_Page",
    fleet.ListFunctionsResponse,
    fleet.ListTokensResponse,
    fleet.ListTenantsResponse,
    fleet.ListExecutorsResponse,
    fleet.ProgressResponse,
    keyed.ListStreamsResponse,
)
_T = TypeVar("_T")


class Rpc:
    """Typed calls; every failure is a UdfleetError. Thread-safe; channels reconnect by themselves.

    A call that a coordinator does not take, because it is away or has no room, goes to the next.
    """

    def __init__(self, addresses: Sequence[str], token: str | None, tls: TlsFiles | None = None) -> None:
        self.coordinators = Coordinators(addresses)
        self._token = TokenSource(token)
        self.tls = tls
        self._tls_source = TlsSource(tls) if tls else None
        self._lock = threading.Lock()
        self._channels: dict[str, tuple[TlsTexts | None, grpc.Channel]] = {}
        """Each with what it was opened with."""
        self._learn_at = time.monotonic() + LEARN_SECONDS
        self._closed = False
        _fork.check()
        _fork.holds_connection(self)

    @property
    def token(self) -> str | None:
        """What coordinators are shown now."""
        return self._token.current()

    def follow_token(self, file: str) -> None:
        """Shows from now on what this file holds."""
        self._token = TokenSource(self.token, file)

    @property
    def token_file(self) -> str | None:
        """The file that is followed."""
        return self._token.file

    def tls_texts(self) -> TlsTexts | None:
        """What connections are opened with now; None: they are in plain text."""
        return self._tls_source.current() if self._tls_source else None

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self.token
        return (("authorization", f"Bearer {token}"),) if token else ()

    def close(self) -> None:
        """Closes the channels; running calls end with an error."""
        self._closed = True
        if _fork.inherited():
            return
        with self._lock:
            channels, self._channels = self._channels, {}
        for _, channel in channels.values():
            channel.close()

    def _channel(self, address: str) -> grpc.Channel:
        self._check_open()
        texts = self.tls_texts()
        with self._lock:
            self._check_open()
            found = self._channels.get(address)
            if found is None or found[0] is not texts:
                # What runs on the former channel keeps it.
                with _fork.without_grpc_fork_support():
                    found = self._channels[address] = texts, _opened(address, texts)
            return found[1]

    def _check_open(self) -> None:
        _fork.check()
        if self._closed:
            where = ", ".join(self.coordinators.given)
            raise UnreachableError(f"this connection to {where} is closed", hint="connect again")

    def _unary(self, method: str, request: Message, answer: type[_Answer]) -> _Answer:
        result: _Answer = self._ask(self._begin(method, request, answer))
        return result

    def _pages(self, method: str, request: _PageRequest, answer: type[_Page]) -> Iterator[_Page]:
        """All pages of a list."""
        while True:
            page = self._unary(method, request, answer)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _begin(
        self, method: str, request: Message, answer: type[Message]
    ) -> Callable[[grpc.Channel, float | None], Any]:
        def begin(channel: grpc.Channel, timeout: float | None) -> Any:
            call = channel.unary_unary(f"/udfleet.v1.{method}", type(request).SerializeToString, answer.FromString)
            return call.future(request, timeout=timeout, metadata=self._metadata)

        return begin

    def _ask(self, begin: Callable[[grpc.Channel, float | None], Any], timeout: float | None = CALL_SECONDS) -> Any:
        """What the first coordinator says that can; what is asked may be asked twice."""

        def ask(address: str, others: bool) -> Any:
            patience = HANGING_SECONDS if others and timeout == CALL_SECONDS else timeout
            return self._wait(begin(self._channel(address), patience), address)

        return self._first(ask)

    def _first(self, ask: Callable[[str, bool], _T]) -> _T:
        """The first answer: `ask` is told whom to ask, and whether there are others."""
        self._check_open()
        attempts = Attempts(self.coordinators)
        for address in attempts:
            try:
                answer = ask(address, attempts.others)
            except UdfleetError as error:  # noqa: PERF203
                attempts.failed(address, error)
            else:
                attempts.answered(address)
                self._learn_now_and_then(address)
                return answer
        raise attempts.failure()

    def _wait(self, call: Any, address: str) -> Any:
        # Asked for by `future`, because gRPC's own waiting lets Ctrl-C wait for 200 ms.
        try:
            return call.result()
        except grpc.RpcError as error:
            raise _failures.from_grpc(error, address) from None
        except BaseException:
            call.cancel()
            raise

    def _stream(
        self, address: str, method: str, request: Message, answer: type[_Answer], timeout: float | None = None
    ) -> Iterator[_Answer]:
        """The answers of one coordinator."""
        channel = self._channel(address)
        call = channel.unary_stream(f"/udfleet.v1.{method}", type(request).SerializeToString, answer.FromString)
        answers: Any = call(request, timeout=timeout, metadata=self._metadata)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise _failures.from_grpc(error, address) from None
        finally:
            answers.cancel()

    def open_stream(self, requests: Iterator[keyed.StreamRequest]) -> tuple[str, Any]:
        """A stream through a function with keyed state, at the coordinator that answered last: its address, and what it
        answers.
        """
        self._check_open()
        address = self.coordinators.preferred
        call = self._channel(address).stream_stream(
            "/udfleet.v1.Streams/Process",
            keyed.StreamRequest.SerializeToString,
            keyed.StreamResponse.FromString,
        )
        return address, call(requests, metadata=self._metadata)

    def streams(self) -> Iterator[keyed.StreamInfo]:
        """All streams through functions with keyed state."""
        for page in self._pages("Streams/ListStreams", keyed.ListStreamsRequest(), keyed.ListStreamsResponse):
            yield from page.streams

    def stream(self, stream: str) -> keyed.StreamInfo:
        """One of them."""
        request = keyed.ListStreamsRequest(stream=stream)
        return self._unary("Streams/ListStreams", request, keyed.ListStreamsResponse).streams[0]

    def drop_stream(self, request: keyed.DropStreamRequest) -> None:
        """Deletes a stream with its state, however long that takes."""
        self._ask(self._begin("Streams/DropStream", request, keyed.DropStreamResponse), None)

    def read_state(self, request: keyed.ReadStateRequest) -> Iterator[keyed.StateChunk]:
        """Committed state of a stream, from the coordinator that answered last."""
        self._check_open()
        return self._stream(self.coordinators.preferred, "Streams/ReadState", request, keyed.StateChunk)

    def import_stream(self, chunks: Iterator[keyed.StateChunk]) -> keyed.StreamInfo:
        """Makes a stream of chunks, at the coordinator that answered last."""
        self._check_open()
        address = self.coordinators.preferred
        call = self._channel(address).stream_unary(
            "/udfleet.v1.Streams/ImportStream", keyed.StateChunk.SerializeToString, keyed.StreamInfo.FromString
        )
        info: keyed.StreamInfo = self._wait(call.future(chunks, metadata=self._metadata), address)
        return info

    def _whole(self, method: str, request: Message, answer: type[_Answer]) -> list[_Answer]:
        """All answers of the first coordinator that gives them all."""
        return self._first(lambda address, _: list(self._stream(address, method, request, answer, CALL_SECONDS)))

    def _learn_now_and_then(self, address: str) -> None:
        """Asks in the background which coordinators there are."""
        now = time.monotonic()
        if now < self._learn_at:
            return
        self._learn_at = now + LEARN_SECONDS
        request = fleet.ServerInfoRequest()
        call = self._channel(address).unary_unary(
            "/udfleet.v1.Fleet/ServerInfo",
            fleet.ServerInfoRequest.SerializeToString,
            fleet.ServerInfoResponse.FromString,
        )
        future = call.future(request, timeout=CALL_SECONDS, metadata=self._metadata)
        future.add_done_callback(lambda done: self._take_coordinators(address, done))

    def _take_coordinators(self, address: str, done: Any) -> None:
        if done.code() is grpc.StatusCode.OK:
            self.coordinators.learn(address, done.result().coordinators)

    def server_info(self, version: str) -> fleet.ServerInfoResponse:
        """Who answers, and which coordinators there are; refused when the versions don't match."""
        info = self._unary("Fleet/ServerInfo", fleet.ServerInfoRequest(version=version), fleet.ServerInfoResponse)
        self.coordinators.learn(self.coordinators.preferred, info.coordinators)
        return info

    def register(self, request: fleet.RegisterFunctionRequest, seconds: float) -> Iterator[fleet.RegistrationEvent]:
        """Events of a registration; the last is `ready` or `failed`.

        Where its coordinator goes away, another is asked for the same: the request's id tells it what has begun.
        """
        self._check_open()
        deadline = time.monotonic() + seconds
        attempts = Attempts(self.coordinators)
        refused: set[str] = set()
        for address in attempts:
            left = max(1.0, deadline - time.monotonic())
            try:
                for event in self._stream(address, "Fleet/RegisterFunction", request, fleet.RegistrationEvent, left):
                    attempts.answered(address)
                    if event.WhichOneof("kind") == "failed" and address not in refused and attempts.others:
                        # Another may reach executors that this one does not. Each is asked once.
                        refused.add(address)
                        error = _failures.from_info(event.failed)
                        if error.retryable and error.has_no_side_effects:
                            raise error
                    yield event
            except UdfleetError as error:
                attempts.failed(address, error)
                if time.monotonic() >= deadline:
                    raise
            else:
                return
        raise attempts.failure()

    def describe(self, name: str) -> fleet.FunctionInfo:
        """One function."""
        return self._unary("Fleet/DescribeFunction", fleet.DescribeFunctionRequest(name=name), fleet.FunctionInfo)

    def functions(self, all_versions: bool) -> Iterator[fleet.FunctionInfo]:
        """All functions, without their source files."""
        request = fleet.ListFunctionsRequest(all_versions=all_versions)
        for page in self._pages("Fleet/ListFunctions", request, fleet.ListFunctionsResponse):
            yield from page.functions

    def drop(self, name: str) -> list[str]:
        """Drops a function or one version; returns what was dropped."""
        request = fleet.DropFunctionRequest(name=name)
        begin = self._begin("Fleet/DropFunction", request, fleet.DropFunctionResponse)
        asked_before = False

        def drop(address: str, _: bool) -> list[str]:
            nonlocal asked_before
            again, asked_before = asked_before, True
            try:
                return list(self._wait(begin(self._channel(address), CALL_SECONDS), address).dropped)
            except FunctionNotFoundError:
                if again:
                    # Who was asked before has done it, and could not say so any more.
                    return [name]
                raise
            except UdfleetError as error:
                asked_before = again or not error.has_no_side_effects
                raise

        return self._first(drop)

    def export(self, consume: Callable[[Iterator[fleet.ExportFunctionsResponse]], _T]) -> _T:
        """What `consume` makes of everything that is registered: functions first, then version counters."""
        request, answer = fleet.ExportFunctionsRequest(), fleet.ExportFunctionsResponse
        return self._first(lambda address, _: consume(self._stream(address, "Fleet/ExportFunctions", request, answer)))

    def import_function(self, request: fleet.ImportFunctionRequest) -> fleet.ImportFunctionResponse:
        """Puts one function of a backup back."""
        return self._unary("Fleet/ImportFunction", request, fleet.ImportFunctionResponse)

    def create_token(self, request: fleet.CreateTokenRequest) -> fleet.CreateTokenResponse:
        """Makes a token."""
        return self._unary("Fleet/CreateToken", request, fleet.CreateTokenResponse)

    def tokens(self) -> Iterator[fleet.AccessRecord]:
        """All tokens, without their secrets."""
        request = fleet.ListTokensRequest()
        for page in self._pages("Fleet/ListTokens", request, fleet.ListTokensResponse):
            yield from page.records

    def tenants(self) -> Iterator[fleet.TenantInfo]:
        """All tenants."""
        request = fleet.ListTenantsRequest()
        for page in self._pages("Fleet/ListTenants", request, fleet.ListTenantsResponse):
            yield from page.tenants

    def revoke_token(self, request: fleet.RevokeTokenRequest) -> fleet.AccessRecord:
        """Revokes a token."""
        return self._unary("Fleet/RevokeToken", request, fleet.RevokeTokenResponse).record

    def executors(self) -> Iterator[fleet.ExecutorInfo]:
        """All executors."""
        request = fleet.ListExecutorsRequest()
        for page in self._pages("Fleet/ListExecutors", request, fleet.ListExecutorsResponse):
            yield from page.executors

    def drain(self, executor: str, undo: bool) -> fleet.ExecutorInfo:
        """Takes an executor out of service, or back into it."""
        request = fleet.DrainExecutorRequest(executor=executor, undo=undo)
        return self._unary("Fleet/DrainExecutor", request, fleet.DrainExecutorResponse).executor

    def progress(self, function: str) -> Iterator[fleet.FunctionProgress]:
        """Numbers per function."""
        request = fleet.ProgressRequest(function=function)
        for page in self._pages("Fleet/Progress", request, fleet.ProgressResponse):
            yield from page.functions

    def explain(self, plan: plan.Plan) -> fleet.ExplainResponse:
        """How a plan would run."""
        return self._unary("Fleet/Explain", fleet.ExplainRequest(plan=plan), fleet.ExplainResponse)

    def row_errors(self, function: str) -> Iterator[cluster.KeptRowErrors]:
        """Rows that failed and did not fail their streams."""
        request = cluster.RowErrorsRequest(function=function)
        for answer in self._whole("Fleet/RowErrors", request, cluster.RowErrorsResponse):
            yield from answer.functions

    def capsules(self, function: str) -> Iterator[capsule.CapsuleSummary]:
        """Batches that failed and are kept."""
        request = capsule.CapsulesRequest(function=function)
        for answer in self._whole("Fleet/Capsules", request, capsule.CapsulesResponse):
            yield from answer.capsules

    def fetch_capsule(self, name: str) -> list[bytes]:
        """Pieces of one of them."""
        request = capsule.FetchCapsuleRequest(id=name)
        answers = self._first(
            lambda address, _: list(self._stream(address, "Fleet/FetchCapsule", request, capsule.FetchCapsuleResponse))
        )
        return [answer.data for answer in answers]

    def profile(self, function: str) -> Iterator[cluster.FunctionProfile]:
        """Where functions spend their time."""
        request = cluster.ProfileRequest(function=function)
        for answer in self._whole("Fleet/Profile", request, cluster.ProfileResponse):
            yield from answer.functions

    def restart(self, function: str) -> Iterator[cluster.RestartedEnvironment]:
        """Replaces interpreters; returns when all are new, however long their calls run."""
        request = cluster.RestartRequest(function=function)
        answers = self._first(
            lambda address, _: list(self._stream(address, "Fleet/Restart", request, cluster.RestartResponse))
        )
        for answer in answers:
            yield from answer.environments

    def logs(self, function: str, tail: int, follow: bool) -> Iterator[cluster.LogLine]:
        """What functions wrote to stdout and stderr.

        Where the coordinator goes away, another goes on: each of them is sent all lines by the executors.
        """
        self._check_open()
        request = cluster.LogsRequest(function=function, tail=tail, follow=follow)
        position = LogPosition()
        attempts = Attempts(self.coordinators)
        for address in attempts:
            try:
                for line in self._stream(address, "Fleet/Logs", request, cluster.LogLine):
                    attempts.answered(address)
                    if position.take(line):
                        yield line
            except UdfleetError as error:
                attempts.failed(address, error)
            else:
                if not (follow and attempts.others):
                    return
            # What was written meanwhile lies among what the next one keeps.
            request.tail = 0 if position.begun else tail
            position.resume()
        raise attempts.failure()

    def flight_info(self, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """Who serves a function or a plan. Asked here, because pyarrow's client keeps no details of an error."""
        return self._ask(lambda channel, timeout: self._flight_info(channel, descriptor, timeout))

    def begin_flight_info(self, descriptor: flight.FlightDescriptor) -> Any:
        """The same without waiting, of the coordinator that is preferred: gRPC's future of the answer."""
        address = self.coordinators.preferred
        self._check_open()
        future = self._flight_info(self._channel(address), descriptor, HANGING_SECONDS)
        future.add_done_callback(lambda done: self._notice(address, done))
        return future

    def _flight_info(self, channel: grpc.Channel, descriptor: flight.FlightDescriptor, timeout: float | None) -> Any:
        call = channel.unary_unary(
            "/arrow.flight.protocol.FlightService/GetFlightInfo",
            flight.FlightDescriptor.serialize,
            flight.FlightInfo.deserialize,
        )
        return call.future(descriptor, timeout=timeout, metadata=self._metadata)

    def _notice(self, address: str, done: Any) -> None:
        """The next question goes to another coordinator where this one is away."""
        if done.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            self.coordinators.failed(address)

    def missing(self, hashes: list[str]) -> set[str]:
        """Which of these artifacts the coordinator lacks."""
        request = fleet.MissingArtifactsRequest(hashes=hashes)
        return set(self._unary("Artifacts/Missing", request, fleet.MissingArtifactsResponse).hashes)

    def get(self, digest: str, consume: Callable[[Iterator[bytes]], _T]) -> _T:
        """What `consume` makes of an artifact; it begins anew with each coordinator that is tried."""
        request = fleet.GetArtifactRequest(hash=digest)

        def get(address: str, _: bool) -> _T:
            return consume(chunk.data for chunk in self._stream(address, "Artifacts/Get", request, fleet.ArtifactChunk))

        return self._first(get)

    def put(self, chunks: Callable[[], Iterator[fleet.ArtifactChunk]], timeout: float | None) -> None:
        """Sends one artifact, from its first chunk to each coordinator that is tried."""

        def begin(channel: grpc.Channel, timeout: float | None) -> Any:
            call = channel.stream_unary(
                "/udfleet.v1.Artifacts/Put", fleet.ArtifactChunk.SerializeToString, fleet.PutArtifactResponse.FromString
            )
            return call.future(chunks(), timeout=timeout, metadata=self._metadata)

        self._ask(begin, timeout)
