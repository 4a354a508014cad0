from . import error_pb2 as _error_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_KIND_UNSPECIFIED: _ClassVar[MetricKind]
    COUNTER: _ClassVar[MetricKind]
    GAUGE: _ClassVar[MetricKind]
    HISTOGRAM: _ClassVar[MetricKind]
    DISTRIBUTION: _ClassVar[MetricKind]
    METER: _ClassVar[MetricKind]
METRIC_KIND_UNSPECIFIED: MetricKind
COUNTER: MetricKind
GAUGE: MetricKind
HISTOGRAM: MetricKind
DISTRIBUTION: MetricKind
METER: MetricKind

class Histogram(_message.Message):
    __slots__ = ("bucket", "count")
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    bucket: _containers.RepeatedScalarFieldContainer[int]
    count: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, bucket: _Optional[_Iterable[int]] = ..., count: _Optional[_Iterable[int]] = ...) -> None: ...

class FunctionMetrics(_message.Message):
    __slots__ = ("function", "calls", "rows", "errors", "retries", "bytes_in", "bytes_out", "in_flight", "queue_ns", "transfer_ns", "convert_ns", "run_ns", "cpu_ns", "latency", "peak_memory_bytes", "row_errors", "user", "merged", "failures", "failures_unchanged", "batch_rows", "latency_ns")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    BYTES_IN_FIELD_NUMBER: _ClassVar[int]
    BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NS_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_NS_FIELD_NUMBER: _ClassVar[int]
    CONVERT_NS_FIELD_NUMBER: _ClassVar[int]
    RUN_NS_FIELD_NUMBER: _ClassVar[int]
    CPU_NS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_NS_FIELD_NUMBER: _ClassVar[int]
    function: str
    calls: int
    rows: int
    errors: int
    retries: int
    bytes_in: int
    bytes_out: int
    in_flight: int
    queue_ns: int
    transfer_ns: int
    convert_ns: int
    run_ns: int
    cpu_ns: int
    latency: Histogram
    peak_memory_bytes: int
    row_errors: int
    user: _containers.RepeatedCompositeFieldContainer[UserMetric]
    merged: int
    failures: _containers.RepeatedCompositeFieldContainer[ErrorGroup]
    failures_unchanged: bool
    batch_rows: _containers.RepeatedScalarFieldContainer[int]
    latency_ns: int
    def __init__(self, function: _Optional[str] = ..., calls: _Optional[int] = ..., rows: _Optional[int] = ..., errors: _Optional[int] = ..., retries: _Optional[int] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ..., in_flight: _Optional[int] = ..., queue_ns: _Optional[int] = ..., transfer_ns: _Optional[int] = ..., convert_ns: _Optional[int] = ..., run_ns: _Optional[int] = ..., cpu_ns: _Optional[int] = ..., latency: _Optional[_Union[Histogram, _Mapping]] = ..., peak_memory_bytes: _Optional[int] = ..., row_errors: _Optional[int] = ..., user: _Optional[_Iterable[_Union[UserMetric, _Mapping]]] = ..., merged: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[ErrorGroup, _Mapping]]] = ..., failures_unchanged: _Optional[bool] = ..., batch_rows: _Optional[_Iterable[int]] = ..., latency_ns: _Optional[int] = ...) -> None: ...

class ErrorGroup(_message.Message):
    __slots__ = ("count", "first_unix_ms", "last_unix_ms", "newest", "exception", "file", "line")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    count: int
    first_unix_ms: int
    last_unix_ms: int
    newest: _error_pb2.ErrorInfo
    exception: str
    file: str
    line: int
    def __init__(self, count: _Optional[int] = ..., first_unix_ms: _Optional[int] = ..., last_unix_ms: _Optional[int] = ..., newest: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ..., exception: _Optional[str] = ..., file: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class UserMetric(_message.Message):
    __slots__ = ("groups", "name", "kind", "count", "sum", "min", "max", "value", "unix_ms", "span_seconds", "positive", "positive_count", "negative", "negative_count", "zeros")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SPAN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[MetricGroup]
    name: str
    kind: MetricKind
    count: int
    sum: float
    min: float
    max: float
    value: float
    unix_ms: int
    span_seconds: int
    positive: _containers.RepeatedScalarFieldContainer[int]
    positive_count: _containers.RepeatedScalarFieldContainer[int]
    negative: _containers.RepeatedScalarFieldContainer[int]
    negative_count: _containers.RepeatedScalarFieldContainer[int]
    zeros: int
    def __init__(self, groups: _Optional[_Iterable[_Union[MetricGroup, _Mapping]]] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[MetricKind, str]] = ..., count: _Optional[int] = ..., sum: _Optional[float] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., value: _Optional[float] = ..., unix_ms: _Optional[int] = ..., span_seconds: _Optional[int] = ..., positive: _Optional[_Iterable[int]] = ..., positive_count: _Optional[_Iterable[int]] = ..., negative: _Optional[_Iterable[int]] = ..., negative_count: _Optional[_Iterable[int]] = ..., zeros: _Optional[int] = ...) -> None: ...

class MetricGroup(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class UserMetrics(_message.Message):
    __slots__ = ("functions",)
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionUserMetrics]
    def __init__(self, functions: _Optional[_Iterable[_Union[FunctionUserMetrics, _Mapping]]] = ...) -> None: ...

class FunctionUserMetrics(_message.Message):
    __slots__ = ("function", "metrics")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    function: int
    metrics: _containers.RepeatedCompositeFieldContainer[UserMetric]
    def __init__(self, function: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[UserMetric, _Mapping]]] = ...) -> None: ...

class NamedUserMetrics(_message.Message):
    __slots__ = ("function", "metrics")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    function: str
    metrics: _containers.RepeatedCompositeFieldContainer[UserMetric]
    def __init__(self, function: _Optional[str] = ..., metrics: _Optional[_Iterable[_Union[UserMetric, _Mapping]]] = ...) -> None: ...

class ProfileStacks(_message.Message):
    __slots__ = ("stacks", "period_ns")
    STACKS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_NS_FIELD_NUMBER: _ClassVar[int]
    stacks: _containers.RepeatedCompositeFieldContainer[StackSamples]
    period_ns: int
    def __init__(self, stacks: _Optional[_Iterable[_Union[StackSamples, _Mapping]]] = ..., period_ns: _Optional[int] = ...) -> None: ...

class StackSamples(_message.Message):
    __slots__ = ("stack", "samples")
    STACK_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    stack: str
    samples: int
    def __init__(self, stack: _Optional[str] = ..., samples: _Optional[int] = ...) -> None: ...
