"""What a fleet tells about itself, as plain values."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from .. import _failures
from .._proto.udfleet.v1 import cluster_pb2, fleet_pb2, function_pb2, metrics_pb2
from ..errors import UdfleetError
from ..types import DataType
from ..types.datatype import shortened
from ..types.wire import from_proto
from .user_metrics import UserMetricView, user_metrics


@dataclass(frozen=True)
class FunctionOnExecutor:
    """One function as one executor has it."""

    executor: str
    function: str
    state: str
    interpreters: int
    error: UdfleetError | None
    waiting: str = ""
    """What calls of it wait for, in words; empty where none has waited for long."""


@dataclass(frozen=True)
class FunctionView:
    """A registered function."""

    name: str
    version: int
    state: str
    """`PENDING`, `BUILDING`, `LOADING`, `READY` or `FAILED`, over the fleet."""
    reason: str
    """Why it is not ready."""
    language: str
    kind: str
    func_type: str
    input_types: list[DataType] | None
    result_type: DataType
    deterministic: bool
    python: str
    requirements: list[str]
    environment: str
    """The group of interpreters that it shares: the hash of its environment, and of its labels, resources, variables
    and secrets."""
    config: dict[str, str]
    job: str
    doc: str
    source: str
    created: datetime.datetime
    executors: list[FunctionOnExecutor]
    asynchronous: bool = False
    merges: bool = False
    """Groups are aggregated in parts all over the fleet."""
    on_error: str = "fail"
    """What becomes of rows that it raises for: `fail`, `null` or `skip`."""
    labels: dict[str, str] = field(default_factory=dict)
    """Only executors with these labels serve it."""
    resources: dict[str, int] = field(default_factory=dict)
    """Devices that each interpreter that serves it has for itself."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables of its interpreters."""
    secrets: list[str] = field(default_factory=list)
    """Names of the secrets that its interpreters see."""

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def signature(self) -> str:
        """`(BIGINT, STRING) -> DOUBLE`."""
        inputs = "..." if self.input_types is None else ", ".join(map(str, self.input_types))
        return f"({inputs}) -> {self.result_type}"

    def __repr__(self) -> str:
        return f"<function {self.reference}{shortened(self.signature)}, {self.kind}, {self.state}>"


@dataclass(frozen=True)
class HeldDevice:
    """A device that an interpreter has for itself."""

    kind: str
    device: str
    environment: str
    """As in `FunctionView.environment` of the functions that use it."""


@dataclass(frozen=True)
class SandboxView:
    """How far an executor contains user code."""

    level: str
    """`full`, `partial` where its kernel can't give all of it, `off`, or `unknown`."""
    missing: list[str]
    """What is not in force, for people."""


@dataclass(frozen=True)
class ExecutorView:
    """An executor of the fleet."""

    id: str
    state: str
    """`ready`, `draining`, `drained`, `lost`, `stopped` where it ended in order, or `unreachable` where the coordinator
    that was asked has lost it and another one reaches it."""
    address: str
    version: str
    pythons: list[str]
    cores: int
    memory_bytes: int
    interpreters: int
    max_interpreters: int
    rss_bytes: int
    in_flight: int
    labels: dict[str, str]
    report_age_ms: int
    functions: list[FunctionOnExecutor]
    resources: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the devices that it offers, by kind."""
    devices: list[HeldDevice] = field(default_factory=list)
    """Those that interpreters hold."""
    attached_to: list[str] = field(default_factory=list)
    """Where the other coordinators are that reach it."""
    certificate_ends: datetime.datetime | None = None
    """When its TLS certificate does; None: it has none."""
    sandbox: SandboxView = field(default_factory=lambda: SandboxView("unknown", []))

    def __repr__(self) -> str:
        return f"<executor {self.id} at {self.address}, {self.state}, {len(self.functions)} functions>"


@dataclass(frozen=True)
class Counters:
    """Cumulative numbers of a function."""

    function: str
    calls: int
    rows: int
    errors: int
    retries: int
    bytes_in: int
    bytes_out: int
    in_flight: int
    queue_seconds: float
    transfer_seconds: float
    convert_seconds: float
    run_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    row_errors: int = 0
    """Rows that failed and were answered with null or left out."""
    metrics: list[UserMetricView] = field(default_factory=list)
    """What the function counts itself."""
    merged: int = 0
    """Small batches that had to wait, and went to an interpreter in one call with others."""

    def __repr__(self) -> str:
        return f"<counters of {self.function}: {self.calls} calls, {self.rows} rows, {self.errors} errors>"


@dataclass(frozen=True)
class ProgressView:
    """How a function is doing, over the fleet and per executor."""

    total: Counters
    p50_ms: float
    p95_ms: float
    p99_ms: float
    executors: dict[str, Counters] = field(default_factory=dict)

    @property
    def function(self) -> str:
        """The function's name."""
        return self.total.function

    def __repr__(self) -> str:
        total = self.total
        numbers = f"{total.calls} calls, {total.rows} rows, {total.errors} errors"
        return f"<progress of {self.function}: {numbers}, p99 {self.p99_ms:.1f} ms>"


@dataclass(frozen=True)
class RowErrorsView:
    """Rows of a function that failed on one executor, and did not fail their streams."""

    executor: str
    function: str
    count: int
    """Since the executor started."""
    first: list[UdfleetError]
    """The first few of them."""

    def __repr__(self) -> str:
        return f"<row errors of {self.function} on {self.executor}: {self.count}, the first {len(self.first)} kept>"


@dataclass(frozen=True)
class ProfileView:
    """Where a function spends its time on one executor: samples of its stack."""

    executor: str
    function: str
    period_seconds: float
    """Time that one sample stands for."""
    stacks: dict[str, int]
    """Samples by stack: frames from the outermost, separated by `;`."""

    def __repr__(self) -> str:
        samples = sum(self.stacks.values())
        return f"<profile of {self.function} on {self.executor}: {samples} samples of {len(self.stacks)} stacks>"


@dataclass(frozen=True)
class LogRecord:
    """A line that a function wrote."""

    executor: str
    function: str
    stream: str
    """`stdout` or `stderr`."""
    time: datetime.datetime
    text: str
    pid: int


def _time(unix_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(unix_ms / 1000, datetime.timezone.utc)


def _status(executor: str, status: cluster_pb2.FunctionStatus) -> FunctionOnExecutor:
    error = _failures.from_info(status.error) if status.HasField("error") else None
    state = cluster_pb2.LoadState.Name(status.state)
    return FunctionOnExecutor(executor, status.function, state, status.interpreters, error, status.waiting)


def _on_error(value: int) -> str:
    return function_pb2.OnError.Name(value).removeprefix("ON_ERROR_").lower() if value else "fail"


def function_view(info: fleet_pb2.FunctionInfo) -> FunctionView:
    """A FunctionInfo as a view."""
    definition = info.definition
    return FunctionView(
        name=definition.name,
        version=definition.version,
        state=cluster_pb2.LoadState.Name(info.state),
        reason=info.reason,
        language=function_pb2.Language.Name(definition.language),
        kind=function_pb2.FunctionKind.Name(definition.kind).lower(),
        func_type=function_pb2.FuncType.Name(definition.func_type).lower(),
        input_types=[from_proto(t) for t in definition.input_types] if definition.input_typed else None,
        result_type=from_proto(definition.result_type),
        deterministic=definition.deterministic,
        asynchronous=definition.asynchronous,
        merges=definition.merges,
        on_error=_on_error(definition.on_error),
        labels=dict(definition.labels),
        resources=dict(definition.resources),
        env=dict(definition.variables),
        secrets=list(definition.secrets),
        python=definition.environment.python,
        requirements=list(definition.environment.requirements),
        environment=info.environment,
        config=dict(definition.config),
        job=definition.job,
        doc=definition.doc,
        source=definition.source,
        created=_time(definition.created_unix_ms),
        executors=[_status(entry.executor, entry.status) for entry in info.executors],
    )


def executor_view(info: fleet_pb2.ExecutorInfo) -> ExecutorView:
    """An ExecutorInfo as a view."""
    hello = info.hello
    return ExecutorView(
        id=hello.executor,
        state=fleet_pb2.ExecutorState.Name(info.state).removeprefix("EXECUTOR_STATE_").lower(),
        address=hello.address,
        version=hello.version,
        pythons=[python.version for python in hello.pythons],
        cores=hello.cores,
        memory_bytes=hello.memory_bytes,
        interpreters=info.interpreters,
        max_interpreters=hello.max_interpreters,
        rss_bytes=info.rss_bytes,
        in_flight=info.in_flight,
        labels=dict(hello.labels),
        report_age_ms=info.report_age_ms,
        functions=[_status(hello.executor, status) for status in info.functions],
        resources={kind: list(offered.devices) for kind, offered in hello.resources.items()},
        devices=[HeldDevice(held.kind, held.device, held.environment) for held in info.devices],
        attached_to=list(info.attached_to),
        certificate_ends=certificate_end(info.certificate_ends_unix),
        sandbox=_sandbox(hello.sandbox),
    )


def _sandbox(status: cluster_pb2.SandboxStatus) -> SandboxView:
    level = cluster_pb2.SandboxLevel.Name(status.level).removeprefix("SANDBOX_LEVEL_").lower() if status.level else ""
    return SandboxView(level or "unknown", list(status.missing))


def certificate_end(seconds: int) -> datetime.datetime | None:
    """The end of a TLS certificate; None where there is none."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc) if seconds else None


def _counters(metrics: metrics_pb2.FunctionMetrics) -> Counters:
    return Counters(
        function=metrics.function,
        calls=metrics.calls,
        rows=metrics.rows,
        errors=metrics.errors,
        retries=metrics.retries,
        bytes_in=metrics.bytes_in,
        bytes_out=metrics.bytes_out,
        in_flight=metrics.in_flight,
        queue_seconds=metrics.queue_ns / 1e9,
        transfer_seconds=metrics.transfer_ns / 1e9,
        convert_seconds=metrics.convert_ns / 1e9,
        run_seconds=metrics.run_ns / 1e9,
        cpu_seconds=metrics.cpu_ns / 1e9,
        peak_memory_bytes=metrics.peak_memory_bytes,
        row_errors=metrics.row_errors,
        metrics=user_metrics(metrics.user),
        merged=metrics.merged,
    )


def progress_view(message: fleet_pb2.FunctionProgress) -> ProgressView:
    """A FunctionProgress as a view."""
    executors = {entry.executor: _counters(entry.metrics) for entry in message.executors}
    return ProgressView(_counters(message.total), message.p50_ms, message.p95_ms, message.p99_ms, executors)


def row_errors_view(kept: cluster_pb2.KeptRowErrors) -> RowErrorsView:
    """A KeptRowErrors as a view."""
    first = [_failures.from_info(error) for error in kept.first]
    return RowErrorsView(kept.executor, kept.function, kept.count, first)


@dataclass(frozen=True)
class RestartView:
    """Interpreters of an environment on one executor that have been replaced."""

    executor: str
    environment: str
    replaced: int
    error: UdfleetError | None = None
    """Why the others have not been; they go on as they were."""


def restart_view(done: cluster_pb2.RestartedEnvironment) -> RestartView:
    """A RestartedEnvironment as a view."""
    error = _failures.from_info(done.error) if done.HasField("error") else None
    return RestartView(done.executor, done.environment, done.replaced, error)


def profile_view(profile: cluster_pb2.FunctionProfile) -> ProfileView:
    """A FunctionProfile as a view."""
    stacks = {entry.stack: entry.samples for entry in profile.stacks}
    return ProfileView(profile.executor, profile.function, profile.period_ns / 1e9, stacks)


def log_record(line: cluster_pb2.LogLine) -> LogRecord:
    """A LogLine as a view."""
    return LogRecord(line.executor, line.function, line.stream, _time(line.unix_ms), line.text, line.pid)
