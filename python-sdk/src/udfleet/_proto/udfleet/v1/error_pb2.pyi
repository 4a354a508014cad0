from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_CODE_UNSPECIFIED: _ClassVar[ErrorCode]
    USER_CODE: _ClassVar[ErrorCode]
    RESULT_TYPE: _ClassVar[ErrorCode]
    LOAD_FAILED: _ClassVar[ErrorCode]
    CALL_TIMEOUT: _ClassVar[ErrorCode]
    FUNCTION_NOT_FOUND: _ClassVar[ErrorCode]
    INVALID_INPUT: _ClassVar[ErrorCode]
    INVALID_DEFINITION: _ClassVar[ErrorCode]
    INVALID_CONFIG: _ClassVar[ErrorCode]
    LIMIT_EXCEEDED: _ClassVar[ErrorCode]
    UNAUTHENTICATED: _ClassVar[ErrorCode]
    ARTIFACT_MISSING: _ClassVar[ErrorCode]
    PERMISSION_DENIED: _ClassVar[ErrorCode]
    INVALID_PLAN: _ClassVar[ErrorCode]
    INFEASIBLE: _ClassVar[ErrorCode]
    ENVIRONMENT_FAILED: _ClassVar[ErrorCode]
    NO_CAPACITY: _ClassVar[ErrorCode]
    INTERPRETER_CRASHED: _ClassVar[ErrorCode]
    EXECUTOR_LOST: _ClassVar[ErrorCode]
    MEMORY_EXCEEDED: _ClassVar[ErrorCode]
    VERSION_MISMATCH: _ClassVar[ErrorCode]
    INTERNAL: _ClassVar[ErrorCode]
ERROR_CODE_UNSPECIFIED: ErrorCode
USER_CODE: ErrorCode
RESULT_TYPE: ErrorCode
LOAD_FAILED: ErrorCode
CALL_TIMEOUT: ErrorCode
FUNCTION_NOT_FOUND: ErrorCode
INVALID_INPUT: ErrorCode
INVALID_DEFINITION: ErrorCode
INVALID_CONFIG: ErrorCode
LIMIT_EXCEEDED: ErrorCode
UNAUTHENTICATED: ErrorCode
ARTIFACT_MISSING: ErrorCode
PERMISSION_DENIED: ErrorCode
INVALID_PLAN: ErrorCode
INFEASIBLE: ErrorCode
ENVIRONMENT_FAILED: ErrorCode
NO_CAPACITY: ErrorCode
INTERPRETER_CRASHED: ErrorCode
EXECUTOR_LOST: ErrorCode
MEMORY_EXCEEDED: ErrorCode
VERSION_MISMATCH: ErrorCode
INTERNAL: ErrorCode

class Frame(_message.Message):
    __slots__ = ("file", "line", "function", "source")
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    file: str
    line: int
    function: str
    source: str
    def __init__(self, file: _Optional[str] = ..., line: _Optional[int] = ..., function: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class PythonException(_message.Message):
    __slots__ = ("type", "message", "frames", "cause", "explicit_cause", "group", "notes", "text")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    EXPLICIT_CAUSE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    frames: _containers.RepeatedCompositeFieldContainer[Frame]
    cause: PythonException
    explicit_cause: bool
    group: _containers.RepeatedCompositeFieldContainer[PythonException]
    notes: _containers.RepeatedScalarFieldContainer[str]
    text: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., frames: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ..., cause: _Optional[_Union[PythonException, _Mapping]] = ..., explicit_cause: _Optional[bool] = ..., group: _Optional[_Iterable[_Union[PythonException, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., text: _Optional[str] = ...) -> None: ...

class ProcessExit(_message.Message):
    __slots__ = ("signal", "status", "peak_rss_bytes", "memory_limit_bytes", "last_stderr", "out_of_memory")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAST_STDERR_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_MEMORY_FIELD_NUMBER: _ClassVar[int]
    signal: int
    status: int
    peak_rss_bytes: int
    memory_limit_bytes: int
    last_stderr: str
    out_of_memory: bool
    def __init__(self, signal: _Optional[int] = ..., status: _Optional[int] = ..., peak_rss_bytes: _Optional[int] = ..., memory_limit_bytes: _Optional[int] = ..., last_stderr: _Optional[str] = ..., out_of_memory: _Optional[bool] = ...) -> None: ...

class ErrorInfo(_message.Message):
    __slots__ = ("code", "message", "hint", "function", "row", "value", "executor", "attempt", "exception", "exit", "expression", "has_no_side_effects", "producer", "sequence", "busy")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    HAS_NO_SIDE_EFFECTS_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    code: ErrorCode
    message: str
    hint: str
    function: str
    row: int
    value: str
    executor: str
    attempt: int
    exception: PythonException
    exit: ProcessExit
    expression: str
    has_no_side_effects: bool
    producer: str
    sequence: int
    busy: bool
    def __init__(self, code: _Optional[_Union[ErrorCode, str]] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., function: _Optional[str] = ..., row: _Optional[int] = ..., value: _Optional[str] = ..., executor: _Optional[str] = ..., attempt: _Optional[int] = ..., exception: _Optional[_Union[PythonException, _Mapping]] = ..., exit: _Optional[_Union[ProcessExit, _Mapping]] = ..., expression: _Optional[str] = ..., has_no_side_effects: _Optional[bool] = ..., producer: _Optional[str] = ..., sequence: _Optional[int] = ..., busy: _Optional[bool] = ...) -> None: ...

class RowErrors(_message.Message):
    __slots__ = ("functions",)
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionRowErrors]
    def __init__(self, functions: _Optional[_Iterable[_Union[FunctionRowErrors, _Mapping]]] = ...) -> None: ...

class FunctionRowErrors(_message.Message):
    __slots__ = ("function", "count", "first")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    function: int
    count: int
    first: _containers.RepeatedCompositeFieldContainer[ErrorInfo]
    def __init__(self, function: _Optional[int] = ..., count: _Optional[int] = ..., first: _Optional[_Iterable[_Union[ErrorInfo, _Mapping]]] = ...) -> None: ...
