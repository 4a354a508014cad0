from . import error_pb2 as _error_pb2
from . import function_pb2 as _function_pb2
from . import metrics_pb2 as _metrics_pb2
from . import plan_pb2 as _plan_pb2
from . import stage_pb2 as _stage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExchangeRequest(_message.Message):
    __slots__ = ("function", "job", "forwarded", "plan", "stage", "on_error", "bundle_progress", "producer", "refuse_if_busy", "give_back_after_ms", "progress_every_ms")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    REFUSE_IF_BUSY_FIELD_NUMBER: _ClassVar[int]
    GIVE_BACK_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    function: str
    job: str
    forwarded: bool
    plan: _plan_pb2.Plan
    stage: _stage_pb2.Stage
    on_error: _function_pb2.OnError
    bundle_progress: bool
    producer: str
    refuse_if_busy: bool
    give_back_after_ms: int
    progress_every_ms: int
    def __init__(self, function: _Optional[str] = ..., job: _Optional[str] = ..., forwarded: _Optional[bool] = ..., plan: _Optional[_Union[_plan_pb2.Plan, _Mapping]] = ..., stage: _Optional[_Union[_stage_pb2.Stage, _Mapping]] = ..., on_error: _Optional[_Union[_function_pb2.OnError, str]] = ..., bundle_progress: _Optional[bool] = ..., producer: _Optional[str] = ..., refuse_if_busy: _Optional[bool] = ..., give_back_after_ms: _Optional[int] = ..., progress_every_ms: _Optional[int] = ...) -> None: ...

class EndpointCapabilities(_message.Message):
    __slots__ = ("reports_progress",)
    REPORTS_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    reports_progress: bool
    def __init__(self, reports_progress: _Optional[bool] = ...) -> None: ...

class BatchHeader(_message.Message):
    __slots__ = ("sequence", "attempt")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    attempt: int
    def __init__(self, sequence: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("sequence", "last", "rows", "timing", "error", "bundle", "errors_column", "attempt", "progress")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    ERRORS_COLUMN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    last: bool
    rows: int
    timing: BatchTiming
    error: _error_pb2.ErrorInfo
    bundle: BundleProgress
    errors_column: bool
    attempt: int
    progress: StreamProgress
    def __init__(self, sequence: _Optional[int] = ..., last: _Optional[bool] = ..., rows: _Optional[int] = ..., timing: _Optional[_Union[BatchTiming, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ..., bundle: _Optional[_Union[BundleProgress, _Mapping]] = ..., errors_column: _Optional[bool] = ..., attempt: _Optional[int] = ..., progress: _Optional[_Union[StreamProgress, _Mapping]] = ...) -> None: ...

class StreamProgress(_message.Message):
    __slots__ = ("in_flight", "running", "running_ms")
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_MS_FIELD_NUMBER: _ClassVar[int]
    in_flight: int
    running: int
    running_ms: int
    def __init__(self, in_flight: _Optional[int] = ..., running: _Optional[int] = ..., running_ms: _Optional[int] = ...) -> None: ...

class BundleProgress(_message.Message):
    __slots__ = ("bundle", "completed", "batches", "rows_in", "rows_out", "bytes_in", "bytes_out", "timing", "elapsed_ms", "metrics")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    ROWS_IN_FIELD_NUMBER: _ClassVar[int]
    ROWS_OUT_FIELD_NUMBER: _ClassVar[int]
    BYTES_IN_FIELD_NUMBER: _ClassVar[int]
    BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    bundle: int
    completed: bool
    batches: int
    rows_in: int
    rows_out: int
    bytes_in: int
    bytes_out: int
    timing: BatchTiming
    elapsed_ms: int
    metrics: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.NamedUserMetrics]
    def __init__(self, bundle: _Optional[int] = ..., completed: _Optional[bool] = ..., batches: _Optional[int] = ..., rows_in: _Optional[int] = ..., rows_out: _Optional[int] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ..., timing: _Optional[_Union[BatchTiming, _Mapping]] = ..., elapsed_ms: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[_metrics_pb2.NamedUserMetrics, _Mapping]]] = ...) -> None: ...

class BatchTiming(_message.Message):
    __slots__ = ("queue", "transfer", "convert", "run")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    CONVERT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    queue: int
    transfer: int
    convert: int
    run: int
    def __init__(self, queue: _Optional[int] = ..., transfer: _Optional[int] = ..., convert: _Optional[int] = ..., run: _Optional[int] = ...) -> None: ...
