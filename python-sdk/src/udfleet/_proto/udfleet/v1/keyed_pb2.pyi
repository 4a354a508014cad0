from . import error_pb2 as _error_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamRequest(_message.Message):
    __slots__ = ("open", "submit", "commit")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    open: OpenStream
    submit: SubmitBundle
    commit: CommitBundle
    def __init__(self, open: _Optional[_Union[OpenStream, _Mapping]] = ..., submit: _Optional[_Union[SubmitBundle, _Mapping]] = ..., commit: _Optional[_Union[CommitBundle, _Mapping]] = ...) -> None: ...

class OpenStream(_message.Message):
    __slots__ = ("stream", "function", "key_columns", "schema", "reset", "retain_results")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    KEY_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    RETAIN_RESULTS_FIELD_NUMBER: _ClassVar[int]
    stream: str
    function: str
    key_columns: int
    schema: bytes
    reset: bool
    retain_results: bool
    def __init__(self, stream: _Optional[str] = ..., function: _Optional[str] = ..., key_columns: _Optional[int] = ..., schema: _Optional[bytes] = ..., reset: _Optional[bool] = ..., retain_results: _Optional[bool] = ...) -> None: ...

class SubmitBundle(_message.Message):
    __slots__ = ("first_row", "header", "body")
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    first_row: int
    header: bytes
    body: bytes
    def __init__(self, first_row: _Optional[int] = ..., header: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class CommitBundle(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("opened", "delivered", "committed", "failed")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    opened: StreamOpened
    delivered: BundleDelivered
    committed: BundleCommitted
    failed: _error_pb2.ErrorInfo
    def __init__(self, opened: _Optional[_Union[StreamOpened, _Mapping]] = ..., delivered: _Optional[_Union[BundleDelivered, _Mapping]] = ..., committed: _Optional[_Union[BundleCommitted, _Mapping]] = ..., failed: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ...) -> None: ...

class StreamOpened(_message.Message):
    __slots__ = ("function", "position", "schema", "bundle_rows", "bundle_ms", "retained_first")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ROWS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_MS_FIELD_NUMBER: _ClassVar[int]
    RETAINED_FIRST_FIELD_NUMBER: _ClassVar[int]
    function: str
    position: int
    schema: bytes
    bundle_rows: int
    bundle_ms: int
    retained_first: int
    def __init__(self, function: _Optional[str] = ..., position: _Optional[int] = ..., schema: _Optional[bytes] = ..., bundle_rows: _Optional[int] = ..., bundle_ms: _Optional[int] = ..., retained_first: _Optional[int] = ...) -> None: ...

class BundleDelivered(_message.Message):
    __slots__ = ("header", "body", "last")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    body: bytes
    last: bool
    def __init__(self, header: _Optional[bytes] = ..., body: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class BundleCommitted(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: int
    def __init__(self, position: _Optional[int] = ...) -> None: ...

class StreamInfo(_message.Message):
    __slots__ = ("stream", "function", "partitions", "position", "key_schema", "session", "state", "coordinator", "holder", "opened_unix_ms", "unusable")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    KEY_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    OPENED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    UNUSABLE_FIELD_NUMBER: _ClassVar[int]
    stream: str
    function: str
    partitions: int
    position: int
    key_schema: bytes
    session: int
    state: str
    coordinator: str
    holder: str
    opened_unix_ms: int
    unusable: bool
    def __init__(self, stream: _Optional[str] = ..., function: _Optional[str] = ..., partitions: _Optional[int] = ..., position: _Optional[int] = ..., key_schema: _Optional[bytes] = ..., session: _Optional[int] = ..., state: _Optional[str] = ..., coordinator: _Optional[str] = ..., holder: _Optional[str] = ..., opened_unix_ms: _Optional[int] = ..., unusable: _Optional[bool] = ...) -> None: ...

class ListStreamsRequest(_message.Message):
    __slots__ = ("page_token", "stream")
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    stream: str
    def __init__(self, page_token: _Optional[str] = ..., stream: _Optional[str] = ...) -> None: ...

class ListStreamsResponse(_message.Message):
    __slots__ = ("streams", "next_page_token")
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    streams: _containers.RepeatedCompositeFieldContainer[StreamInfo]
    next_page_token: str
    def __init__(self, streams: _Optional[_Iterable[_Union[StreamInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReadStateRequest(_message.Message):
    __slots__ = ("stream", "key_header", "key_body")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    KEY_HEADER_FIELD_NUMBER: _ClassVar[int]
    KEY_BODY_FIELD_NUMBER: _ClassVar[int]
    stream: str
    key_header: bytes
    key_body: bytes
    def __init__(self, stream: _Optional[str] = ..., key_header: _Optional[bytes] = ..., key_body: _Optional[bytes] = ...) -> None: ...

class StateEntry(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class StateChunk(_message.Message):
    __slots__ = ("stream", "partition", "record", "entries")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    stream: StreamInfo
    partition: int
    record: bytes
    entries: _containers.RepeatedCompositeFieldContainer[StateEntry]
    def __init__(self, stream: _Optional[_Union[StreamInfo, _Mapping]] = ..., partition: _Optional[int] = ..., record: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[StateEntry, _Mapping]]] = ...) -> None: ...

class DropStreamRequest(_message.Message):
    __slots__ = ("stream", "force")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    stream: str
    force: bool
    def __init__(self, stream: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class DropStreamResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PartitionRequest(_message.Message):
    __slots__ = ("function", "state", "partition", "stream", "session", "epoch", "open", "run", "confirm", "abort")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    function: str
    state: str
    partition: int
    stream: str
    session: int
    epoch: int
    open: PartitionOpen
    run: PartitionRun
    confirm: PartitionConfirm
    abort: PartitionAbort
    def __init__(self, function: _Optional[str] = ..., state: _Optional[str] = ..., partition: _Optional[int] = ..., stream: _Optional[str] = ..., session: _Optional[int] = ..., epoch: _Optional[int] = ..., open: _Optional[_Union[PartitionOpen, _Mapping]] = ..., run: _Optional[_Union[PartitionRun, _Mapping]] = ..., confirm: _Optional[_Union[PartitionConfirm, _Mapping]] = ..., abort: _Optional[_Union[PartitionAbort, _Mapping]] = ...) -> None: ...

class PartitionOpen(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PartitionAttempt(_message.Message):
    __slots__ = ("bundle", "attempt")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    bundle: int
    attempt: int
    def __init__(self, bundle: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class PartitionRun(_message.Message):
    __slots__ = ("attempt", "first", "end", "cut_first", "cut_partitions", "key_columns", "now_ms", "schema", "header", "body", "retained_rows")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    CUT_FIRST_FIELD_NUMBER: _ClassVar[int]
    CUT_PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    KEY_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    RETAINED_ROWS_FIELD_NUMBER: _ClassVar[int]
    attempt: PartitionAttempt
    first: int
    end: int
    cut_first: int
    cut_partitions: int
    key_columns: int
    now_ms: int
    schema: bytes
    header: bytes
    body: bytes
    retained_rows: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, attempt: _Optional[_Union[PartitionAttempt, _Mapping]] = ..., first: _Optional[int] = ..., end: _Optional[int] = ..., cut_first: _Optional[int] = ..., cut_partitions: _Optional[int] = ..., key_columns: _Optional[int] = ..., now_ms: _Optional[int] = ..., schema: _Optional[bytes] = ..., header: _Optional[bytes] = ..., body: _Optional[bytes] = ..., retained_rows: _Optional[_Iterable[int]] = ...) -> None: ...

class RetainedResults(_message.Message):
    __slots__ = ("cut_first", "end", "rows", "results", "function")
    CUT_FIRST_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    cut_first: int
    end: int
    rows: _containers.RepeatedScalarFieldContainer[int]
    results: _containers.RepeatedCompositeFieldContainer[PartitionResults]
    function: str
    def __init__(self, cut_first: _Optional[int] = ..., end: _Optional[int] = ..., rows: _Optional[_Iterable[int]] = ..., results: _Optional[_Iterable[_Union[PartitionResults, _Mapping]]] = ..., function: _Optional[str] = ...) -> None: ...

class PartitionConfirm(_message.Message):
    __slots__ = ("attempt", "digest")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    attempt: PartitionAttempt
    digest: bytes
    def __init__(self, attempt: _Optional[_Union[PartitionAttempt, _Mapping]] = ..., digest: _Optional[bytes] = ...) -> None: ...

class PartitionAbort(_message.Message):
    __slots__ = ("attempt",)
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    attempt: PartitionAttempt
    def __init__(self, attempt: _Optional[_Union[PartitionAttempt, _Mapping]] = ...) -> None: ...

class PartitionReply(_message.Message):
    __slots__ = ("session", "epoch", "opened", "delivered", "failed", "committed", "refused", "aborted")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ABORTED_FIELD_NUMBER: _ClassVar[int]
    session: int
    epoch: int
    opened: PartitionOpened
    delivered: PartitionDelivered
    failed: PartitionFailed
    committed: PartitionCommitted
    refused: PartitionRefused
    aborted: PartitionAborted
    def __init__(self, session: _Optional[int] = ..., epoch: _Optional[int] = ..., opened: _Optional[_Union[PartitionOpened, _Mapping]] = ..., delivered: _Optional[_Union[PartitionDelivered, _Mapping]] = ..., failed: _Optional[_Union[PartitionFailed, _Mapping]] = ..., committed: _Optional[_Union[PartitionCommitted, _Mapping]] = ..., refused: _Optional[_Union[PartitionRefused, _Mapping]] = ..., aborted: _Optional[_Union[PartitionAborted, _Mapping]] = ...) -> None: ...

class PartitionOpened(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: bytes
    def __init__(self, record: _Optional[bytes] = ...) -> None: ...

class PartitionDelivered(_message.Message):
    __slots__ = ("attempt", "digest", "results")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    attempt: PartitionAttempt
    digest: bytes
    results: _containers.RepeatedCompositeFieldContainer[PartitionResults]
    def __init__(self, attempt: _Optional[_Union[PartitionAttempt, _Mapping]] = ..., digest: _Optional[bytes] = ..., results: _Optional[_Iterable[_Union[PartitionResults, _Mapping]]] = ...) -> None: ...

class PartitionResults(_message.Message):
    __slots__ = ("header", "body")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    body: bytes
    def __init__(self, header: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class PartitionFailed(_message.Message):
    __slots__ = ("attempt", "error")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    attempt: PartitionAttempt
    error: _error_pb2.ErrorInfo
    def __init__(self, attempt: _Optional[_Union[PartitionAttempt, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorInfo, _Mapping]] = ...) -> None: ...

class PartitionCommitted(_message.Message):
    __slots__ = ("attempt", "digest")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    attempt: PartitionAttempt
    digest: bytes
    def __init__(self, attempt: _Optional[_Union[PartitionAttempt, _Mapping]] = ..., digest: _Optional[bytes] = ...) -> None: ...

class PartitionRefused(_message.Message):
    __slots__ = ("reason", "attempt", "number")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[PartitionRefused.Reason]
        NEWER_OWNER: _ClassVar[PartitionRefused.Reason]
        NOT_OWNER: _ClassVar[PartitionRefused.Reason]
        SESSION_REPLACED: _ClassVar[PartitionRefused.Reason]
        NOT_OPEN: _ClassVar[PartitionRefused.Reason]
        ATTEMPT_OVER: _ClassVar[PartitionRefused.Reason]
        DIGEST_DIFFERS: _ClassVar[PartitionRefused.Reason]
        ALREADY_COMMITTED: _ClassVar[PartitionRefused.Reason]
        BUNDLE_GAP: _ClassVar[PartitionRefused.Reason]
        ROWS_APPLIED: _ClassVar[PartitionRefused.Reason]
    REASON_UNSPECIFIED: PartitionRefused.Reason
    NEWER_OWNER: PartitionRefused.Reason
    NOT_OWNER: PartitionRefused.Reason
    SESSION_REPLACED: PartitionRefused.Reason
    NOT_OPEN: PartitionRefused.Reason
    ATTEMPT_OVER: PartitionRefused.Reason
    DIGEST_DIFFERS: PartitionRefused.Reason
    ALREADY_COMMITTED: PartitionRefused.Reason
    BUNDLE_GAP: PartitionRefused.Reason
    ROWS_APPLIED: PartitionRefused.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    reason: PartitionRefused.Reason
    attempt: PartitionAttempt
    number: int
    def __init__(self, reason: _Optional[_Union[PartitionRefused.Reason, str]] = ..., attempt: _Optional[_Union[PartitionAttempt, _Mapping]] = ..., number: _Optional[int] = ...) -> None: ...

class PartitionAborted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ScanPartition(_message.Message):
    __slots__ = ("state", "partition", "epoch", "stream", "prefixes")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    state: str
    partition: int
    epoch: int
    stream: str
    prefixes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, state: _Optional[str] = ..., partition: _Optional[int] = ..., epoch: _Optional[int] = ..., stream: _Optional[str] = ..., prefixes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PartitionEntries(_message.Message):
    __slots__ = ("record", "entries")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    record: bytes
    entries: _containers.RepeatedCompositeFieldContainer[StateEntry]
    def __init__(self, record: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[StateEntry, _Mapping]]] = ...) -> None: ...

class LoadPartition(_message.Message):
    __slots__ = ("state", "partition", "epoch", "stream", "record", "entries")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    state: str
    partition: int
    epoch: int
    stream: str
    record: bytes
    entries: _containers.RepeatedCompositeFieldContainer[StateEntry]
    def __init__(self, state: _Optional[str] = ..., partition: _Optional[int] = ..., epoch: _Optional[int] = ..., stream: _Optional[str] = ..., record: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[StateEntry, _Mapping]]] = ...) -> None: ...

class PartitionLoaded(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DropStateRequest(_message.Message):
    __slots__ = ("state", "delete_files")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DELETE_FILES_FIELD_NUMBER: _ClassVar[int]
    state: str
    delete_files: bool
    def __init__(self, state: _Optional[str] = ..., delete_files: _Optional[bool] = ...) -> None: ...

class StateDropped(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
