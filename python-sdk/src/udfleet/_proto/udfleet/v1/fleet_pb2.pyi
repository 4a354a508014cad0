from . import capsule_pb2 as _capsule_pb2
from . import cluster_pb2 as _cluster_pb2
from . import error_pb2 as _error_pb2
from . import function_pb2 as _function_pb2
from . import metrics_pb2 as _metrics_pb2
from . import plan_pb2 as _plan_pb2
from . import stage_pb2 as _stage_pb2
from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TokenKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOKEN_KIND_UNSPECIFIED: _ClassVar[TokenKind]
    TOKEN_KIND_ROLES: _ClassVar[TokenKind]
    TOKEN_KIND_JOIN: _ClassVar[TokenKind]
    TOKEN_KIND_EXECUTOR: _ClassVar[TokenKind]

class ExecutorState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTOR_STATE_UNSPECIFIED: _ClassVar[ExecutorState]
    EXECUTOR_STATE_READY: _ClassVar[ExecutorState]
    EXECUTOR_STATE_DRAINING: _ClassVar[ExecutorState]
    EXECUTOR_STATE_DRAINED: _ClassVar[ExecutorState]
    EXECUTOR_STATE_LOST: _ClassVar[ExecutorState]
    EXECUTOR_STATE_STOPPED: _ClassVar[ExecutorState]
    EXECUTOR_STATE_UNREACHABLE: _ClassVar[ExecutorState]
TOKEN_KIND_UNSPECIFIED: TokenKind
TOKEN_KIND_ROLES: TokenKind
TOKEN_KIND_JOIN: TokenKind
TOKEN_KIND_EXECUTOR: TokenKind
EXECUTOR_STATE_UNSPECIFIED: ExecutorState
EXECUTOR_STATE_READY: ExecutorState
EXECUTOR_STATE_DRAINING: ExecutorState
EXECUTOR_STATE_DRAINED: ExecutorState
EXECUTOR_STATE_LOST: ExecutorState
EXECUTOR_STATE_STOPPED: ExecutorState
EXECUTOR_STATE_UNREACHABLE: ExecutorState

class ServerInfoRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class ServerInfoResponse(_message.Message):
    __slots__ = ("version", "coordinator", "http_address", "max_frame_bytes", "config_keys", "coordinators", "meta_store_outage", "certificate_ends_unix")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    HTTP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_KEYS_FIELD_NUMBER: _ClassVar[int]
    COORDINATORS_FIELD_NUMBER: _ClassVar[int]
    META_STORE_OUTAGE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_ENDS_UNIX_FIELD_NUMBER: _ClassVar[int]
    version: str
    coordinator: str
    http_address: str
    max_frame_bytes: int
    config_keys: _containers.RepeatedCompositeFieldContainer[ConfigKey]
    coordinators: _containers.RepeatedScalarFieldContainer[str]
    meta_store_outage: str
    certificate_ends_unix: int
    def __init__(self, version: _Optional[str] = ..., coordinator: _Optional[str] = ..., http_address: _Optional[str] = ..., max_frame_bytes: _Optional[int] = ..., config_keys: _Optional[_Iterable[_Union[ConfigKey, _Mapping]]] = ..., coordinators: _Optional[_Iterable[str]] = ..., meta_store_outage: _Optional[str] = ..., certificate_ends_unix: _Optional[int] = ...) -> None: ...

class ConfigKey(_message.Message):
    __slots__ = ("name", "type", "default", "scope", "meaning")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    default: str
    scope: str
    meaning: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., default: _Optional[str] = ..., scope: _Optional[str] = ..., meaning: _Optional[str] = ...) -> None: ...

class RegisterFunctionRequest(_message.Message):
    __slots__ = ("definition", "timeout_ms", "request_id")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    definition: _function_pb2.FunctionDefinition
    timeout_ms: int
    request_id: str
    def __init__(self, definition: _Optional[_Union[_function_pb2.FunctionDefinition, _Mapping]] = ..., timeout_ms: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class RegistrationEvent(_message.Message):
    __slots__ = ("progress", "build_log", "ready", "failed")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    BUILD_LOG_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    progress: str
    build_log: _cluster_pb2.BuildLogLine
    ready: FunctionInfo
    failed: _error_pb2.ErrorInfo
    def __init__(self, progress: _Optional[str] = ..., build_log: _Optional[_Union[_cluster_pb2.BuildLogLine, _Mapping]] = ..., ready: _Optional[_Union[FunctionInfo, _Mapping]] = ..., failed: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ...) -> None: ...

class ExecutorFunctionStatus(_message.Message):
    __slots__ = ("executor", "status")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    executor: str
    status: _cluster_pb2.FunctionStatus
    def __init__(self, executor: _Optional[str] = ..., status: _Optional[_Union[_cluster_pb2.FunctionStatus, _Mapping]] = ...) -> None: ...

class FunctionInfo(_message.Message):
    __slots__ = ("definition", "state", "reason", "executors", "environment")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    definition: _function_pb2.FunctionDefinition
    state: _cluster_pb2.LoadState
    reason: str
    executors: _containers.RepeatedCompositeFieldContainer[ExecutorFunctionStatus]
    environment: str
    def __init__(self, definition: _Optional[_Union[_function_pb2.FunctionDefinition, _Mapping]] = ..., state: _Optional[_Union[_cluster_pb2.LoadState, str]] = ..., reason: _Optional[str] = ..., executors: _Optional[_Iterable[_Union[ExecutorFunctionStatus, _Mapping]]] = ..., environment: _Optional[str] = ...) -> None: ...

class DescribeFunctionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListFunctionsRequest(_message.Message):
    __slots__ = ("all_versions", "page_token")
    ALL_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    all_versions: bool
    page_token: str
    def __init__(self, all_versions: _Optional[bool] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFunctionsResponse(_message.Message):
    __slots__ = ("functions", "next_page_token")
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionInfo]
    next_page_token: str
    def __init__(self, functions: _Optional[_Iterable[_Union[FunctionInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExportFunctionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExportFunctionsResponse(_message.Message):
    __slots__ = ("definition", "counter", "access", "artifacts")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    definition: _function_pb2.FunctionDefinition
    counter: VersionCounter
    access: AccessRecord
    artifacts: _containers.RepeatedCompositeFieldContainer[_function_pb2.Artifact]
    def __init__(self, definition: _Optional[_Union[_function_pb2.FunctionDefinition, _Mapping]] = ..., counter: _Optional[_Union[VersionCounter, _Mapping]] = ..., access: _Optional[_Union[AccessRecord, _Mapping]] = ..., artifacts: _Optional[_Iterable[_Union[_function_pb2.Artifact, _Mapping]]] = ...) -> None: ...

class VersionCounter(_message.Message):
    __slots__ = ("name", "last")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    name: str
    last: int
    def __init__(self, name: _Optional[str] = ..., last: _Optional[int] = ...) -> None: ...

class ImportFunctionRequest(_message.Message):
    __slots__ = ("definition", "counter", "access", "check_only")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    CHECK_ONLY_FIELD_NUMBER: _ClassVar[int]
    definition: _function_pb2.FunctionDefinition
    counter: VersionCounter
    access: AccessRecord
    check_only: bool
    def __init__(self, definition: _Optional[_Union[_function_pb2.FunctionDefinition, _Mapping]] = ..., counter: _Optional[_Union[VersionCounter, _Mapping]] = ..., access: _Optional[_Union[AccessRecord, _Mapping]] = ..., check_only: _Optional[bool] = ...) -> None: ...

class AccessRecord(_message.Message):
    __slots__ = ("kind", "name", "secret_sha256", "roles", "functions", "tenant", "created_unix_s", "expires_unix_s", "revoked_unix_s", "created_by", "used_for_sha256", "used")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SECRET_SHA256_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    REVOKED_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    USED_FOR_SHA256_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    kind: TokenKind
    name: str
    secret_sha256: bytes
    roles: _containers.RepeatedScalarFieldContainer[str]
    functions: _containers.RepeatedScalarFieldContainer[str]
    tenant: str
    created_unix_s: int
    expires_unix_s: int
    revoked_unix_s: int
    created_by: str
    used_for_sha256: bytes
    used: bool
    def __init__(self, kind: _Optional[_Union[TokenKind, str]] = ..., name: _Optional[str] = ..., secret_sha256: _Optional[bytes] = ..., roles: _Optional[_Iterable[str]] = ..., functions: _Optional[_Iterable[str]] = ..., tenant: _Optional[str] = ..., created_unix_s: _Optional[int] = ..., expires_unix_s: _Optional[int] = ..., revoked_unix_s: _Optional[int] = ..., created_by: _Optional[str] = ..., used_for_sha256: _Optional[bytes] = ..., used: _Optional[bool] = ...) -> None: ...

class CreateTokenRequest(_message.Message):
    __slots__ = ("kind", "name", "roles", "functions", "tenant", "lifetime_s")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    kind: TokenKind
    name: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    functions: _containers.RepeatedScalarFieldContainer[str]
    tenant: str
    lifetime_s: int
    def __init__(self, kind: _Optional[_Union[TokenKind, str]] = ..., name: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., functions: _Optional[_Iterable[str]] = ..., tenant: _Optional[str] = ..., lifetime_s: _Optional[int] = ...) -> None: ...

class CreateTokenResponse(_message.Message):
    __slots__ = ("token", "record")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    token: str
    record: AccessRecord
    def __init__(self, token: _Optional[str] = ..., record: _Optional[_Union[AccessRecord, _Mapping]] = ...) -> None: ...

class ListTokensRequest(_message.Message):
    __slots__ = ("page_token",)
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    def __init__(self, page_token: _Optional[str] = ...) -> None: ...

class ListTokensResponse(_message.Message):
    __slots__ = ("records", "next_page_token")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[AccessRecord]
    next_page_token: str
    def __init__(self, records: _Optional[_Iterable[_Union[AccessRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("kind", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: TokenKind
    name: str
    def __init__(self, kind: _Optional[_Union[TokenKind, str]] = ..., name: _Optional[str] = ...) -> None: ...

class RevokeTokenResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: AccessRecord
    def __init__(self, record: _Optional[_Union[AccessRecord, _Mapping]] = ...) -> None: ...

class ImportFunctionResponse(_message.Message):
    __slots__ = ("already_present",)
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    already_present: bool
    def __init__(self, already_present: _Optional[bool] = ...) -> None: ...

class DropFunctionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DropFunctionResponse(_message.Message):
    __slots__ = ("dropped",)
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    dropped: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dropped: _Optional[_Iterable[str]] = ...) -> None: ...

class ListExecutorsRequest(_message.Message):
    __slots__ = ("page_token",)
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    def __init__(self, page_token: _Optional[str] = ...) -> None: ...

class ExecutorInfo(_message.Message):
    __slots__ = ("hello", "epoch", "interpreters", "rss_bytes", "in_flight", "functions", "report_age_ms", "state", "devices", "attached_to", "certificate_ends_unix")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INTERPRETERS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    REPORT_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_TO_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_ENDS_UNIX_FIELD_NUMBER: _ClassVar[int]
    hello: _cluster_pb2.Hello
    epoch: int
    interpreters: int
    rss_bytes: int
    in_flight: int
    functions: _containers.RepeatedCompositeFieldContainer[_cluster_pb2.FunctionStatus]
    report_age_ms: int
    state: ExecutorState
    devices: _containers.RepeatedCompositeFieldContainer[_cluster_pb2.HeldDevice]
    attached_to: _containers.RepeatedScalarFieldContainer[str]
    certificate_ends_unix: int
    def __init__(self, hello: _Optional[_Union[_cluster_pb2.Hello, _Mapping]] = ..., epoch: _Optional[int] = ..., interpreters: _Optional[int] = ..., rss_bytes: _Optional[int] = ..., in_flight: _Optional[int] = ..., functions: _Optional[_Iterable[_Union[_cluster_pb2.FunctionStatus, _Mapping]]] = ..., report_age_ms: _Optional[int] = ..., state: _Optional[_Union[ExecutorState, str]] = ..., devices: _Optional[_Iterable[_Union[_cluster_pb2.HeldDevice, _Mapping]]] = ..., attached_to: _Optional[_Iterable[str]] = ..., certificate_ends_unix: _Optional[int] = ...) -> None: ...

class ListExecutorsResponse(_message.Message):
    __slots__ = ("executors", "next_page_token")
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    executors: _containers.RepeatedCompositeFieldContainer[ExecutorInfo]
    next_page_token: str
    def __init__(self, executors: _Optional[_Iterable[_Union[ExecutorInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DrainExecutorRequest(_message.Message):
    __slots__ = ("executor", "undo")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    UNDO_FIELD_NUMBER: _ClassVar[int]
    executor: str
    undo: bool
    def __init__(self, executor: _Optional[str] = ..., undo: _Optional[bool] = ...) -> None: ...

class DrainExecutorResponse(_message.Message):
    __slots__ = ("executor",)
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    executor: ExecutorInfo
    def __init__(self, executor: _Optional[_Union[ExecutorInfo, _Mapping]] = ...) -> None: ...

class ProgressRequest(_message.Message):
    __slots__ = ("function", "page_token")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    function: str
    page_token: str
    def __init__(self, function: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class FunctionProgress(_message.Message):
    __slots__ = ("total", "executors", "p50_ms", "p95_ms", "p99_ms")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P95_MS_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    total: _metrics_pb2.FunctionMetrics
    executors: _containers.RepeatedCompositeFieldContainer[ExecutorMetrics]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    def __init__(self, total: _Optional[_Union[_metrics_pb2.FunctionMetrics, _Mapping]] = ..., executors: _Optional[_Iterable[_Union[ExecutorMetrics, _Mapping]]] = ..., p50_ms: _Optional[float] = ..., p95_ms: _Optional[float] = ..., p99_ms: _Optional[float] = ...) -> None: ...

class ExecutorMetrics(_message.Message):
    __slots__ = ("executor", "metrics")
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    executor: str
    metrics: _metrics_pb2.FunctionMetrics
    def __init__(self, executor: _Optional[str] = ..., metrics: _Optional[_Union[_metrics_pb2.FunctionMetrics, _Mapping]] = ...) -> None: ...

class ProgressResponse(_message.Message):
    __slots__ = ("functions", "next_page_token")
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionProgress]
    next_page_token: str
    def __init__(self, functions: _Optional[_Iterable[_Union[FunctionProgress, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class MissingArtifactsRequest(_message.Message):
    __slots__ = ("hashes",)
    HASHES_FIELD_NUMBER: _ClassVar[int]
    hashes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, hashes: _Optional[_Iterable[str]] = ...) -> None: ...

class MissingArtifactsResponse(_message.Message):
    __slots__ = ("hashes",)
    HASHES_FIELD_NUMBER: _ClassVar[int]
    hashes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, hashes: _Optional[_Iterable[str]] = ...) -> None: ...

class ArtifactChunk(_message.Message):
    __slots__ = ("hash", "size", "data")
    HASH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    hash: str
    size: int
    data: bytes
    def __init__(self, hash: _Optional[str] = ..., size: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PutArtifactResponse(_message.Message):
    __slots__ = ("already_present",)
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    already_present: bool
    def __init__(self, already_present: _Optional[bool] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ("hash",)
    HASH_FIELD_NUMBER: _ClassVar[int]
    hash: str
    def __init__(self, hash: _Optional[str] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: _plan_pb2.Plan
    def __init__(self, plan: _Optional[_Union[_plan_pb2.Plan, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("text", "stages", "outputs")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    text: str
    stages: _containers.RepeatedCompositeFieldContainer[_stage_pb2.Stage]
    outputs: _containers.RepeatedCompositeFieldContainer[_types_pb2.Field]
    def __init__(self, text: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[_stage_pb2.Stage, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_types_pb2.Field, _Mapping]]] = ...) -> None: ...

class ListTenantsRequest(_message.Message):
    __slots__ = ("page_token",)
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    def __init__(self, page_token: _Optional[str] = ...) -> None: ...

class ListTenantsResponse(_message.Message):
    __slots__ = ("tenants", "next_page_token")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[TenantInfo]
    next_page_token: str
    def __init__(self, tenants: _Optional[_Iterable[_Union[TenantInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TenantInfo(_message.Message):
    __slots__ = ("tenant", "limits", "functions", "environments", "artifact_bytes", "streams", "rows", "refused")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    limits: _cluster_pb2.TenantLimits
    functions: int
    environments: int
    artifact_bytes: int
    streams: int
    rows: int
    refused: int
    def __init__(self, tenant: _Optional[str] = ..., limits: _Optional[_Union[_cluster_pb2.TenantLimits, _Mapping]] = ..., functions: _Optional[int] = ..., environments: _Optional[int] = ..., artifact_bytes: _Optional[int] = ..., streams: _Optional[int] = ..., rows: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...
