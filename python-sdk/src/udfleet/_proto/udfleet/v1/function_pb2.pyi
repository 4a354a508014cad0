from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Language(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANGUAGE_UNSPECIFIED: _ClassVar[Language]
    PYTHON: _ClassVar[Language]
    JVM: _ClassVar[Language]

class FunctionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUNCTION_KIND_UNSPECIFIED: _ClassVar[FunctionKind]
    SCALAR: _ClassVar[FunctionKind]
    TABLE: _ClassVar[FunctionKind]
    AGGREGATE: _ClassVar[FunctionKind]
    TABLE_AGGREGATE: _ClassVar[FunctionKind]

class FuncType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUNC_TYPE_UNSPECIFIED: _ClassVar[FuncType]
    GENERAL: _ClassVar[FuncType]
    PANDAS: _ClassVar[FuncType]
    ARROW: _ClassVar[FuncType]

class OnError(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_ERROR_UNSPECIFIED: _ClassVar[OnError]
    ON_ERROR_FAIL: _ClassVar[OnError]
    ON_ERROR_NULL: _ClassVar[OnError]
    ON_ERROR_SKIP: _ClassVar[OnError]
    ON_ERROR_COLUMN: _ClassVar[OnError]
LANGUAGE_UNSPECIFIED: Language
PYTHON: Language
JVM: Language
FUNCTION_KIND_UNSPECIFIED: FunctionKind
SCALAR: FunctionKind
TABLE: FunctionKind
AGGREGATE: FunctionKind
TABLE_AGGREGATE: FunctionKind
FUNC_TYPE_UNSPECIFIED: FuncType
GENERAL: FuncType
PANDAS: FuncType
ARROW: FuncType
ON_ERROR_UNSPECIFIED: OnError
ON_ERROR_FAIL: OnError
ON_ERROR_NULL: OnError
ON_ERROR_SKIP: OnError
ON_ERROR_COLUMN: OnError

class Artifact(_message.Message):
    __slots__ = ("hash", "name", "size")
    HASH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    hash: str
    name: str
    size: int
    def __init__(self, hash: _Optional[str] = ..., name: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class Environment(_message.Message):
    __slots__ = ("python", "requirements", "requirements_cache", "files", "archives", "constraints")
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_CACHE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    ARCHIVES_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    python: str
    requirements: _containers.RepeatedScalarFieldContainer[str]
    requirements_cache: Artifact
    files: _containers.RepeatedCompositeFieldContainer[Artifact]
    archives: _containers.RepeatedCompositeFieldContainer[Artifact]
    constraints: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, python: _Optional[str] = ..., requirements: _Optional[_Iterable[str]] = ..., requirements_cache: _Optional[_Union[Artifact, _Mapping]] = ..., files: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., archives: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., constraints: _Optional[_Iterable[str]] = ...) -> None: ...

class FunctionDefinition(_message.Message):
    __slots__ = ("name", "version", "language", "kind", "func_type", "input_typed", "input_types", "result_type", "deterministic", "payload", "pickle_support", "payload_python", "environment", "config", "job_parameters", "job", "source", "doc", "created_unix_ms", "source_files", "on_error", "accumulator_type", "asynchronous", "merges", "request_id", "labels", "resources", "variables", "secrets", "tenant", "keyed", "parts")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class JobParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SourceFilesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
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
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class VariablesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FUNC_TYPE_FIELD_NUMBER: _ClassVar[int]
    INPUT_TYPED_FIELD_NUMBER: _ClassVar[int]
    INPUT_TYPES_FIELD_NUMBER: _ClassVar[int]
    RESULT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PICKLE_SUPPORT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_PYTHON_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    JOB_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILES_FIELD_NUMBER: _ClassVar[int]
    ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    ACCUMULATOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    ASYNCHRONOUS_FIELD_NUMBER: _ClassVar[int]
    MERGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    KEYED_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    language: Language
    kind: FunctionKind
    func_type: FuncType
    input_typed: bool
    input_types: _containers.RepeatedCompositeFieldContainer[_types_pb2.DataType]
    result_type: _types_pb2.DataType
    deterministic: bool
    payload: Artifact
    pickle_support: Artifact
    payload_python: str
    environment: Environment
    config: _containers.ScalarMap[str, str]
    job_parameters: _containers.ScalarMap[str, str]
    job: str
    source: str
    doc: str
    created_unix_ms: int
    source_files: _containers.ScalarMap[str, str]
    on_error: OnError
    accumulator_type: _types_pb2.DataType
    asynchronous: bool
    merges: bool
    request_id: str
    labels: _containers.ScalarMap[str, str]
    resources: _containers.ScalarMap[str, int]
    variables: _containers.ScalarMap[str, str]
    secrets: _containers.RepeatedScalarFieldContainer[str]
    tenant: str
    keyed: KeyedState
    parts: _containers.RepeatedCompositeFieldContainer[Artifact]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., language: _Optional[_Union[Language, str]] = ..., kind: _Optional[_Union[FunctionKind, str]] = ..., func_type: _Optional[_Union[FuncType, str]] = ..., input_typed: _Optional[bool] = ..., input_types: _Optional[_Iterable[_Union[_types_pb2.DataType, _Mapping]]] = ..., result_type: _Optional[_Union[_types_pb2.DataType, _Mapping]] = ..., deterministic: _Optional[bool] = ..., payload: _Optional[_Union[Artifact, _Mapping]] = ..., pickle_support: _Optional[_Union[Artifact, _Mapping]] = ..., payload_python: _Optional[str] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., config: _Optional[_Mapping[str, str]] = ..., job_parameters: _Optional[_Mapping[str, str]] = ..., job: _Optional[str] = ..., source: _Optional[str] = ..., doc: _Optional[str] = ..., created_unix_ms: _Optional[int] = ..., source_files: _Optional[_Mapping[str, str]] = ..., on_error: _Optional[_Union[OnError, str]] = ..., accumulator_type: _Optional[_Union[_types_pb2.DataType, _Mapping]] = ..., asynchronous: _Optional[bool] = ..., merges: _Optional[bool] = ..., request_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., resources: _Optional[_Mapping[str, int]] = ..., variables: _Optional[_Mapping[str, str]] = ..., secrets: _Optional[_Iterable[str]] = ..., tenant: _Optional[str] = ..., keyed: _Optional[_Union[KeyedState, _Mapping]] = ..., parts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ...) -> None: ...

class KeyedState(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: int
    def __init__(self, partitions: _Optional[int] = ...) -> None: ...
