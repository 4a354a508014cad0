from . import error_pb2 as _error_pb2
from . import function_pb2 as _function_pb2
from . import stage_pb2 as _stage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Capsule(_message.Message):
    __slots__ = ("summary", "error", "functions", "stage", "input", "on_error", "packages", "files")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    summary: CapsuleSummary
    error: _error_pb2.ErrorInfo
    functions: _containers.RepeatedCompositeFieldContainer[_function_pb2.FunctionDefinition]
    stage: _stage_pb2.Stage
    input: bytes
    on_error: _function_pb2.OnError
    packages: _containers.RepeatedScalarFieldContainer[str]
    files: _containers.RepeatedCompositeFieldContainer[CapsuleFile]
    def __init__(self, summary: _Optional[_Union[CapsuleSummary, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ..., functions: _Optional[_Iterable[_Union[_function_pb2.FunctionDefinition, _Mapping]]] = ..., stage: _Optional[_Union[_stage_pb2.Stage, _Mapping]] = ..., input: _Optional[bytes] = ..., on_error: _Optional[_Union[_function_pb2.OnError, str]] = ..., packages: _Optional[_Iterable[str]] = ..., files: _Optional[_Iterable[_Union[CapsuleFile, _Mapping]]] = ...) -> None: ...

class CapsuleSummary(_message.Message):
    __slots__ = ("id", "executor", "function", "unix_ms", "code", "exception", "message", "rows", "kept_rows", "first_row", "redacted", "input_bytes")
    ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    KEPT_ROWS_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    REDACTED_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    id: str
    executor: str
    function: str
    unix_ms: int
    code: _error_pb2.ErrorCode
    exception: str
    message: str
    rows: int
    kept_rows: int
    first_row: int
    redacted: _containers.RepeatedScalarFieldContainer[str]
    input_bytes: int
    def __init__(self, id: _Optional[str] = ..., executor: _Optional[str] = ..., function: _Optional[str] = ..., unix_ms: _Optional[int] = ..., code: _Optional[_Union[_error_pb2.ErrorCode, str]] = ..., exception: _Optional[str] = ..., message: _Optional[str] = ..., rows: _Optional[int] = ..., kept_rows: _Optional[int] = ..., first_row: _Optional[int] = ..., redacted: _Optional[_Iterable[str]] = ..., input_bytes: _Optional[int] = ...) -> None: ...

class CapsuleFile(_message.Message):
    __slots__ = ("hash", "data")
    HASH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    hash: str
    data: bytes
    def __init__(self, hash: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class CapsulesRequest(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: str
    def __init__(self, function: _Optional[str] = ...) -> None: ...

class CapsulesResponse(_message.Message):
    __slots__ = ("capsules",)
    CAPSULES_FIELD_NUMBER: _ClassVar[int]
    capsules: _containers.RepeatedCompositeFieldContainer[CapsuleSummary]
    def __init__(self, capsules: _Optional[_Iterable[_Union[CapsuleSummary, _Mapping]]] = ...) -> None: ...

class FetchCapsuleRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class FetchCapsuleResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
