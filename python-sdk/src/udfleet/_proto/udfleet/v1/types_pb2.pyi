from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TypeRoot(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TYPE_ROOT_UNSPECIFIED: _ClassVar[TypeRoot]
    NULL: _ClassVar[TypeRoot]
    CHAR: _ClassVar[TypeRoot]
    VARCHAR: _ClassVar[TypeRoot]
    BOOLEAN: _ClassVar[TypeRoot]
    BINARY: _ClassVar[TypeRoot]
    VARBINARY: _ClassVar[TypeRoot]
    DECIMAL: _ClassVar[TypeRoot]
    TINYINT: _ClassVar[TypeRoot]
    SMALLINT: _ClassVar[TypeRoot]
    INT: _ClassVar[TypeRoot]
    BIGINT: _ClassVar[TypeRoot]
    FLOAT: _ClassVar[TypeRoot]
    DOUBLE: _ClassVar[TypeRoot]
    DATE: _ClassVar[TypeRoot]
    TIME: _ClassVar[TypeRoot]
    TIMESTAMP: _ClassVar[TypeRoot]
    TIMESTAMP_LTZ: _ClassVar[TypeRoot]
    ARRAY: _ClassVar[TypeRoot]
    MAP: _ClassVar[TypeRoot]
    MULTISET: _ClassVar[TypeRoot]
    ROW: _ClassVar[TypeRoot]
    INTERVAL_YEAR_MONTH: _ClassVar[TypeRoot]
    INTERVAL_DAY_TIME: _ClassVar[TypeRoot]
TYPE_ROOT_UNSPECIFIED: TypeRoot
NULL: TypeRoot
CHAR: TypeRoot
VARCHAR: TypeRoot
BOOLEAN: TypeRoot
BINARY: TypeRoot
VARBINARY: TypeRoot
DECIMAL: TypeRoot
TINYINT: TypeRoot
SMALLINT: TypeRoot
INT: TypeRoot
BIGINT: TypeRoot
FLOAT: TypeRoot
DOUBLE: TypeRoot
DATE: TypeRoot
TIME: TypeRoot
TIMESTAMP: TypeRoot
TIMESTAMP_LTZ: TypeRoot
ARRAY: TypeRoot
MAP: TypeRoot
MULTISET: TypeRoot
ROW: TypeRoot
INTERVAL_YEAR_MONTH: TypeRoot
INTERVAL_DAY_TIME: TypeRoot

class DataType(_message.Message):
    __slots__ = ("root", "not_null", "length", "precision", "scale", "element", "key", "fields")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    NOT_NULL_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    root: TypeRoot
    not_null: bool
    length: int
    precision: int
    scale: int
    element: DataType
    key: DataType
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    def __init__(self, root: _Optional[_Union[TypeRoot, str]] = ..., not_null: _Optional[bool] = ..., length: _Optional[int] = ..., precision: _Optional[int] = ..., scale: _Optional[int] = ..., element: _Optional[_Union[DataType, _Mapping]] = ..., key: _Optional[_Union[DataType, _Mapping]] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...

class Field(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: DataType
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[DataType, _Mapping]] = ...) -> None: ...
