from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Histogram(_message.Message):
    __slots__ = ("bucket", "count")
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    bucket: _containers.RepeatedScalarFieldContainer[int]
    count: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, bucket: _Optional[_Iterable[int]] = ..., count: _Optional[_Iterable[int]] = ...) -> None: ...

class FunctionMetrics(_message.Message):
    __slots__ = ("function", "calls", "rows", "errors", "retries", "bytes_in", "bytes_out", "in_flight", "queue_ns", "transfer_ns", "convert_ns", "run_ns", "cpu_ns", "latency", "peak_memory_bytes")
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
    def __init__(self, function: _Optional[str] = ..., calls: _Optional[int] = ..., rows: _Optional[int] = ..., errors: _Optional[int] = ..., retries: _Optional[int] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ..., in_flight: _Optional[int] = ..., queue_ns: _Optional[int] = ..., transfer_ns: _Optional[int] = ..., convert_ns: _Optional[int] = ..., run_ns: _Optional[int] = ..., cpu_ns: _Optional[int] = ..., latency: _Optional[_Union[Histogram, _Mapping]] = ..., peak_memory_bytes: _Optional[int] = ...) -> None: ...
