from . import capsule_pb2 as _capsule_pb2
from . import error_pb2 as _error_pb2
from . import metrics_pb2 as _metrics_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SandboxLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SANDBOX_LEVEL_UNSPECIFIED: _ClassVar[SandboxLevel]
    SANDBOX_LEVEL_OFF: _ClassVar[SandboxLevel]
    SANDBOX_LEVEL_PARTIAL: _ClassVar[SandboxLevel]
    SANDBOX_LEVEL_FULL: _ClassVar[SandboxLevel]

class LoadState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOAD_STATE_UNSPECIFIED: _ClassVar[LoadState]
    PENDING: _ClassVar[LoadState]
    BUILDING: _ClassVar[LoadState]
    LOADING: _ClassVar[LoadState]
    READY: _ClassVar[LoadState]
    FAILED: _ClassVar[LoadState]
SANDBOX_LEVEL_UNSPECIFIED: SandboxLevel
SANDBOX_LEVEL_OFF: SandboxLevel
SANDBOX_LEVEL_PARTIAL: SandboxLevel
SANDBOX_LEVEL_FULL: SandboxLevel
LOAD_STATE_UNSPECIFIED: LoadState
PENDING: LoadState
BUILDING: LoadState
LOADING: LoadState
READY: LoadState
FAILED: LoadState

class PythonVersion(_message.Message):
    __slots__ = ("version", "executable")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    version: str
    executable: str
    def __init__(self, version: _Optional[str] = ..., executable: _Optional[str] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("executor", "incarnation", "version", "address", "pythons", "cores", "memory_bytes", "max_interpreters", "interpreters_per_environment", "labels", "built_environments", "resources", "holds_desired_state", "secrets", "reports_progress", "sandbox")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: DeviceList
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[DeviceList, _Mapping]] = ...) -> None: ...
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PYTHONS_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_INTERPRETERS_FIELD_NUMBER: _ClassVar[int]
    INTERPRETERS_PER_ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BUILT_ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    HOLDS_DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    REPORTS_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    executor: str
    incarnation: str
    version: str
    address: str
    pythons: _containers.RepeatedCompositeFieldContainer[PythonVersion]
    cores: int
    memory_bytes: int
    max_interpreters: int
    interpreters_per_environment: int
    labels: _containers.ScalarMap[str, str]
    built_environments: _containers.RepeatedScalarFieldContainer[str]
    resources: _containers.MessageMap[str, DeviceList]
    holds_desired_state: bool
    secrets: _containers.RepeatedScalarFieldContainer[str]
    reports_progress: bool
    sandbox: SandboxStatus
    def __init__(self, executor: _Optional[str] = ..., incarnation: _Optional[str] = ..., version: _Optional[str] = ..., address: _Optional[str] = ..., pythons: _Optional[_Iterable[_Union[PythonVersion, _Mapping]]] = ..., cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., max_interpreters: _Optional[int] = ..., interpreters_per_environment: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., built_environments: _Optional[_Iterable[str]] = ..., resources: _Optional[_Mapping[str, DeviceList]] = ..., holds_desired_state: _Optional[bool] = ..., secrets: _Optional[_Iterable[str]] = ..., reports_progress: _Optional[bool] = ..., sandbox: _Optional[_Union[SandboxStatus, _Mapping]] = ...) -> None: ...

class SandboxStatus(_message.Message):
    __slots__ = ("level", "missing", "closes_network", "bounds_ports")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    CLOSES_NETWORK_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_PORTS_FIELD_NUMBER: _ClassVar[int]
    level: SandboxLevel
    missing: _containers.RepeatedScalarFieldContainer[str]
    closes_network: bool
    bounds_ports: bool
    def __init__(self, level: _Optional[_Union[SandboxLevel, str]] = ..., missing: _Optional[_Iterable[str]] = ..., closes_network: _Optional[bool] = ..., bounds_ports: _Optional[bool] = ...) -> None: ...

class JoinRequest(_message.Message):
    __slots__ = ("executor", "secret_sha256")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    SECRET_SHA256_FIELD_NUMBER: _ClassVar[int]
    executor: str
    secret_sha256: bytes
    def __init__(self, executor: _Optional[str] = ..., secret_sha256: _Optional[bytes] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("expires_unix_s",)
    EXPIRES_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    expires_unix_s: int
    def __init__(self, expires_unix_s: _Optional[int] = ...) -> None: ...

class DeviceList(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, devices: _Optional[_Iterable[str]] = ...) -> None: ...

class HeldDevice(_message.Message):
    __slots__ = ("kind", "device", "environment")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    device: str
    environment: str
    def __init__(self, kind: _Optional[str] = ..., device: _Optional[str] = ..., environment: _Optional[str] = ...) -> None: ...

class FunctionStatus(_message.Message):
    __slots__ = ("function", "state", "error", "interpreters", "waiting")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    INTERPRETERS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    function: str
    state: LoadState
    error: _error_pb2.ErrorInfo
    interpreters: int
    waiting: str
    def __init__(self, function: _Optional[str] = ..., state: _Optional[_Union[LoadState, str]] = ..., error: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ..., interpreters: _Optional[int] = ..., waiting: _Optional[str] = ...) -> None: ...

class EnvironmentLoad(_message.Message):
    __slots__ = ("environment", "interpreters", "held", "waits")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    INTERPRETERS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    environment: str
    interpreters: int
    held: int
    waits: _containers.RepeatedCompositeFieldContainer[FunctionWait]
    def __init__(self, environment: _Optional[str] = ..., interpreters: _Optional[int] = ..., held: _Optional[int] = ..., waits: _Optional[_Iterable[_Union[FunctionWait, _Mapping]]] = ...) -> None: ...

class FunctionWait(_message.Message):
    __slots__ = ("function", "calls", "oldest_ms", "reason")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    function: str
    calls: int
    oldest_ms: int
    reason: str
    def __init__(self, function: _Optional[str] = ..., calls: _Optional[int] = ..., oldest_ms: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class BuildLogLine(_message.Message):
    __slots__ = ("environment", "line", "sequence")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    environment: str
    line: str
    sequence: int
    def __init__(self, environment: _Optional[str] = ..., line: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("sequence", "revision", "functions", "metrics", "build_log", "built_environments", "interpreters", "rss_bytes", "in_flight", "drained", "answers", "built_changed", "forgotten", "loads", "term", "references", "unassigned", "environments", "environments_changed", "more", "devices", "secrets", "secrets_changed", "certificate_ends_unix")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    BUILD_LOG_FIELD_NUMBER: _ClassVar[int]
    BUILT_ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    INTERPRETERS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    BUILT_CHANGED_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    LOADS_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    UNASSIGNED_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_ENDS_UNIX_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    revision: int
    functions: _containers.RepeatedCompositeFieldContainer[FunctionStatus]
    metrics: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.FunctionMetrics]
    build_log: _containers.RepeatedCompositeFieldContainer[BuildLogLine]
    built_environments: _containers.RepeatedScalarFieldContainer[str]
    interpreters: int
    rss_bytes: int
    in_flight: int
    drained: bool
    answers: int
    built_changed: bool
    forgotten: _containers.RepeatedScalarFieldContainer[str]
    loads: _containers.RepeatedCompositeFieldContainer[EnvironmentLoad]
    term: int
    references: _containers.RepeatedCompositeFieldContainer[FunctionReference]
    unassigned: _containers.RepeatedScalarFieldContainer[str]
    environments: _containers.RepeatedCompositeFieldContainer[EnvironmentReference]
    environments_changed: bool
    more: bool
    devices: _containers.RepeatedCompositeFieldContainer[HeldDevice]
    secrets: _containers.RepeatedScalarFieldContainer[str]
    secrets_changed: bool
    certificate_ends_unix: int
    def __init__(self, sequence: _Optional[int] = ..., revision: _Optional[int] = ..., functions: _Optional[_Iterable[_Union[FunctionStatus, _Mapping]]] = ..., metrics: _Optional[_Iterable[_Union[_metrics_pb2.FunctionMetrics, _Mapping]]] = ..., build_log: _Optional[_Iterable[_Union[BuildLogLine, _Mapping]]] = ..., built_environments: _Optional[_Iterable[str]] = ..., interpreters: _Optional[int] = ..., rss_bytes: _Optional[int] = ..., in_flight: _Optional[int] = ..., drained: _Optional[bool] = ..., answers: _Optional[int] = ..., built_changed: _Optional[bool] = ..., forgotten: _Optional[_Iterable[str]] = ..., loads: _Optional[_Iterable[_Union[EnvironmentLoad, _Mapping]]] = ..., term: _Optional[int] = ..., references: _Optional[_Iterable[_Union[FunctionReference, _Mapping]]] = ..., unassigned: _Optional[_Iterable[str]] = ..., environments: _Optional[_Iterable[_Union[EnvironmentReference, _Mapping]]] = ..., environments_changed: _Optional[bool] = ..., more: _Optional[bool] = ..., devices: _Optional[_Iterable[_Union[HeldDevice, _Mapping]]] = ..., secrets: _Optional[_Iterable[str]] = ..., secrets_changed: _Optional[bool] = ..., certificate_ends_unix: _Optional[int] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogBatch(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    def __init__(self, lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ...) -> None: ...

class ExecutorMessage(_message.Message):
    __slots__ = ("hello", "report", "goodbye", "logs")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    report: Report
    goodbye: Goodbye
    logs: LogBatch
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., logs: _Optional[_Union[LogBatch, _Mapping]] = ...) -> None: ...

class EnvironmentReference(_message.Message):
    __slots__ = ("hash", "interpreters")
    HASH_FIELD_NUMBER: _ClassVar[int]
    INTERPRETERS_FIELD_NUMBER: _ClassVar[int]
    hash: str
    interpreters: int
    def __init__(self, hash: _Optional[str] = ..., interpreters: _Optional[int] = ...) -> None: ...

class FunctionReference(_message.Message):
    __slots__ = ("function", "definition", "environment", "since")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    function: str
    definition: bytes
    environment: str
    since: int
    def __init__(self, function: _Optional[str] = ..., definition: _Optional[bytes] = ..., environment: _Optional[str] = ..., since: _Optional[int] = ...) -> None: ...

class DesiredState(_message.Message):
    __slots__ = ("revision", "draining", "base", "environments", "removed_environments", "functions", "removed_functions", "more", "term")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    revision: int
    draining: bool
    base: int
    environments: _containers.RepeatedCompositeFieldContainer[EnvironmentReference]
    removed_environments: _containers.RepeatedScalarFieldContainer[str]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionReference]
    removed_functions: _containers.RepeatedScalarFieldContainer[str]
    more: bool
    term: int
    def __init__(self, revision: _Optional[int] = ..., draining: _Optional[bool] = ..., base: _Optional[int] = ..., environments: _Optional[_Iterable[_Union[EnvironmentReference, _Mapping]]] = ..., removed_environments: _Optional[_Iterable[str]] = ..., functions: _Optional[_Iterable[_Union[FunctionReference, _Mapping]]] = ..., removed_functions: _Optional[_Iterable[str]] = ..., more: _Optional[bool] = ..., term: _Optional[int] = ...) -> None: ...

class FetchDefinitionsRequest(_message.Message):
    __slots__ = ("definitions",)
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, definitions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FetchDefinitionsResponse(_message.Message):
    __slots__ = ("definitions",)
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, definitions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("epoch", "coordinator", "coordinator_id", "coordinators")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_ID_FIELD_NUMBER: _ClassVar[int]
    COORDINATORS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    coordinator: str
    coordinator_id: str
    coordinators: _containers.RepeatedCompositeFieldContainer[CoordinatorAddress]
    def __init__(self, epoch: _Optional[int] = ..., coordinator: _Optional[str] = ..., coordinator_id: _Optional[str] = ..., coordinators: _Optional[_Iterable[_Union[CoordinatorAddress, _Mapping]]] = ...) -> None: ...

class CoordinatorAddress(_message.Message):
    __slots__ = ("id", "address")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Coordinators(_message.Message):
    __slots__ = ("coordinators",)
    COORDINATORS_FIELD_NUMBER: _ClassVar[int]
    coordinators: _containers.RepeatedCompositeFieldContainer[CoordinatorAddress]
    def __init__(self, coordinators: _Optional[_Iterable[_Union[CoordinatorAddress, _Mapping]]] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class CoordinatorMessage(_message.Message):
    __slots__ = ("welcome", "desired", "report", "coordinators", "ticket_keys")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    COORDINATORS_FIELD_NUMBER: _ClassVar[int]
    TICKET_KEYS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    desired: DesiredState
    report: ReportRequest
    coordinators: Coordinators
    ticket_keys: TicketKeys
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., desired: _Optional[_Union[DesiredState, _Mapping]] = ..., report: _Optional[_Union[ReportRequest, _Mapping]] = ..., coordinators: _Optional[_Union[Coordinators, _Mapping]] = ..., ticket_keys: _Optional[_Union[TicketKeys, _Mapping]] = ...) -> None: ...

class TicketKeys(_message.Message):
    __slots__ = ("keys", "limits", "closed")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[TicketKey]
    limits: TenantLimits
    closed: bool
    def __init__(self, keys: _Optional[_Iterable[_Union[TicketKey, _Mapping]]] = ..., limits: _Optional[_Union[TenantLimits, _Mapping]] = ..., closed: _Optional[bool] = ...) -> None: ...

class TicketKey(_message.Message):
    __slots__ = ("id", "public_key", "expires_unix_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    public_key: bytes
    expires_unix_ms: int
    def __init__(self, id: _Optional[str] = ..., public_key: _Optional[bytes] = ..., expires_unix_ms: _Optional[int] = ...) -> None: ...

class TicketClaims(_message.Message):
    __slots__ = ("key", "name", "functions", "tenant", "expires_unix_ms", "coordinator", "limits")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    key: str
    name: str
    functions: _containers.RepeatedScalarFieldContainer[str]
    tenant: str
    expires_unix_ms: int
    coordinator: bool
    limits: TenantLimits
    def __init__(self, key: _Optional[str] = ..., name: _Optional[str] = ..., functions: _Optional[_Iterable[str]] = ..., tenant: _Optional[str] = ..., expires_unix_ms: _Optional[int] = ..., coordinator: _Optional[bool] = ..., limits: _Optional[_Union[TenantLimits, _Mapping]] = ...) -> None: ...

class TenantLimits(_message.Message):
    __slots__ = ("functions", "artifact_bytes", "environments", "streams", "rows_per_second")
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    functions: int
    artifact_bytes: int
    environments: int
    streams: int
    rows_per_second: int
    def __init__(self, functions: _Optional[int] = ..., artifact_bytes: _Optional[int] = ..., environments: _Optional[int] = ..., streams: _Optional[int] = ..., rows_per_second: _Optional[int] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("function", "tail", "follow")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    function: str
    tail: int
    follow: bool
    def __init__(self, function: _Optional[str] = ..., tail: _Optional[int] = ..., follow: _Optional[bool] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("executor", "function", "stream", "unix_ms", "text", "pid", "sequence")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    executor: str
    function: str
    stream: str
    unix_ms: int
    text: str
    pid: int
    sequence: int
    def __init__(self, executor: _Optional[str] = ..., function: _Optional[str] = ..., stream: _Optional[str] = ..., unix_ms: _Optional[int] = ..., text: _Optional[str] = ..., pid: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class RowErrorsRequest(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: str
    def __init__(self, function: _Optional[str] = ...) -> None: ...

class RowErrorsResponse(_message.Message):
    __slots__ = ("functions",)
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[KeptRowErrors]
    def __init__(self, functions: _Optional[_Iterable[_Union[KeptRowErrors, _Mapping]]] = ...) -> None: ...

class KeptRowErrors(_message.Message):
    __slots__ = ("executor", "function", "count", "first")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    executor: str
    function: str
    count: int
    first: _containers.RepeatedCompositeFieldContainer[_error_pb2.ErrorInfo]
    def __init__(self, executor: _Optional[str] = ..., function: _Optional[str] = ..., count: _Optional[int] = ..., first: _Optional[_Iterable[_Union[_error_pb2.ErrorInfo, _Mapping]]] = ...) -> None: ...

class ProfileRequest(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: str
    def __init__(self, function: _Optional[str] = ...) -> None: ...

class ProfileResponse(_message.Message):
    __slots__ = ("functions",)
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionProfile]
    def __init__(self, functions: _Optional[_Iterable[_Union[FunctionProfile, _Mapping]]] = ...) -> None: ...

class FunctionProfile(_message.Message):
    __slots__ = ("executor", "function", "stacks", "period_ns")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    STACKS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_NS_FIELD_NUMBER: _ClassVar[int]
    executor: str
    function: str
    stacks: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.StackSamples]
    period_ns: int
    def __init__(self, executor: _Optional[str] = ..., function: _Optional[str] = ..., stacks: _Optional[_Iterable[_Union[_metrics_pb2.StackSamples, _Mapping]]] = ..., period_ns: _Optional[int] = ...) -> None: ...

class RestartRequest(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: str
    def __init__(self, function: _Optional[str] = ...) -> None: ...

class RestartResponse(_message.Message):
    __slots__ = ("environments",)
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    environments: _containers.RepeatedCompositeFieldContainer[RestartedEnvironment]
    def __init__(self, environments: _Optional[_Iterable[_Union[RestartedEnvironment, _Mapping]]] = ...) -> None: ...

class RestartedEnvironment(_message.Message):
    __slots__ = ("executor", "environment", "replaced", "error")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    executor: str
    environment: str
    replaced: int
    error: _error_pb2.ErrorInfo
    def __init__(self, executor: _Optional[str] = ..., environment: _Optional[str] = ..., replaced: _Optional[int] = ..., error: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ...) -> None: ...
