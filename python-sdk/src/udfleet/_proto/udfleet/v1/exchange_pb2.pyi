from . import error_pb2 as _error_pb2
from . import function_pb2 as _function_pb2
from . import plan_pb2 as _plan_pb2
from . import stage_pb2 as _stage_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExchangeRequest(_message.Message):
    __slots__ = ("function", "job", "forwarded", "plan", "stage", "on_error")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    function: str
    job: str
    forwarded: bool
    plan: _plan_pb2.Plan
    stage: _stage_pb2.Stage
    on_error: _function_pb2.OnError
    def __init__(self, function: _Optional[str] = ..., job: _Optional[str] = ..., forwarded: _Optional[bool] = ..., plan: _Optional[_Union[_plan_pb2.Plan, _Mapping]] = ..., stage: _Optional[_Union[_stage_pb2.Stage, _Mapping]] = ..., on_error: _Optional[_Union[_function_pb2.OnError, str]] = ...) -> None: ...

class BatchHeader(_message.Message):
    __slots__ = ("sequence", "attempt")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    attempt: int
    def __init__(self, sequence: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("sequence", "last", "rows", "timing", "error")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    last: bool
    rows: int
    timing: BatchTiming
    error: _error_pb2.ErrorInfo
    def __init__(self, sequence: _Optional[int] = ..., last: _Optional[bool] = ..., rows: _Optional[int] = ..., timing: _Optional[_Union[BatchTiming, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ...) -> None: ...

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
