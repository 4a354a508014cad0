from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Plan(_message.Message):
    __slots__ = ("source", "operators")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    source: _containers.RepeatedCompositeFieldContainer[_types_pb2.Field]
    operators: _containers.RepeatedCompositeFieldContainer[Operator]
    def __init__(self, source: _Optional[_Iterable[_Union[_types_pb2.Field, _Mapping]]] = ..., operators: _Optional[_Iterable[_Union[Operator, _Mapping]]] = ...) -> None: ...

class Operator(_message.Message):
    __slots__ = ("project", "filter", "correlate", "aggregate")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CORRELATE_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    project: Project
    filter: Filter
    correlate: Correlate
    aggregate: Aggregate
    def __init__(self, project: _Optional[_Union[Project, _Mapping]] = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., correlate: _Optional[_Union[Correlate, _Mapping]] = ..., aggregate: _Optional[_Union[Aggregate, _Mapping]] = ...) -> None: ...

class Project(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("expression", "name", "flatten", "names")
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FLATTEN_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    expression: Expression
    name: str
    flatten: bool
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, expression: _Optional[_Union[Expression, _Mapping]] = ..., name: _Optional[str] = ..., flatten: _Optional[bool] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("predicate",)
    PREDICATE_FIELD_NUMBER: _ClassVar[int]
    predicate: Expression
    def __init__(self, predicate: _Optional[_Union[Expression, _Mapping]] = ...) -> None: ...

class Correlate(_message.Message):
    __slots__ = ("call", "names", "outer", "replaces")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    OUTER_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    call: Call
    names: _containers.RepeatedScalarFieldContainer[str]
    outer: bool
    replaces: bool
    def __init__(self, call: _Optional[_Union[Call, _Mapping]] = ..., names: _Optional[_Iterable[str]] = ..., outer: _Optional[bool] = ..., replaces: _Optional[bool] = ...) -> None: ...

class Aggregate(_message.Message):
    __slots__ = ("keys", "items", "table", "names")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Item]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    table: Call
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., table: _Optional[_Union[Call, _Mapping]] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class Expression(_message.Message):
    __slots__ = ("column", "literal", "call", "operation", "bound", "bindings", "text")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    column: str
    literal: Literal
    call: Call
    operation: Operation
    bound: int
    bindings: _containers.RepeatedCompositeFieldContainer[Expression]
    text: str
    def __init__(self, column: _Optional[str] = ..., literal: _Optional[_Union[Literal, _Mapping]] = ..., call: _Optional[_Union[Call, _Mapping]] = ..., operation: _Optional[_Union[Operation, _Mapping]] = ..., bound: _Optional[int] = ..., bindings: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ..., text: _Optional[str] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("function", "arguments", "takes_row", "distinct", "filter")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    TAKES_ROW_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    function: str
    arguments: _containers.RepeatedCompositeFieldContainer[Expression]
    takes_row: bool
    distinct: bool
    filter: Expression
    def __init__(self, function: _Optional[str] = ..., arguments: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ..., takes_row: _Optional[bool] = ..., distinct: _Optional[bool] = ..., filter: _Optional[_Union[Expression, _Mapping]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("operator", "operands", "type", "field", "position")
    class Operator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OPERATOR_UNSPECIFIED: _ClassVar[Operation.Operator]
        PLUS: _ClassVar[Operation.Operator]
        MINUS: _ClassVar[Operation.Operator]
        TIMES: _ClassVar[Operation.Operator]
        DIVIDE: _ClassVar[Operation.Operator]
        MODULO: _ClassVar[Operation.Operator]
        NEGATE: _ClassVar[Operation.Operator]
        EQUAL: _ClassVar[Operation.Operator]
        NOT_EQUAL: _ClassVar[Operation.Operator]
        LESS: _ClassVar[Operation.Operator]
        LESS_OR_EQUAL: _ClassVar[Operation.Operator]
        GREATER: _ClassVar[Operation.Operator]
        GREATER_OR_EQUAL: _ClassVar[Operation.Operator]
        AND: _ClassVar[Operation.Operator]
        OR: _ClassVar[Operation.Operator]
        NOT: _ClassVar[Operation.Operator]
        IS_NULL: _ClassVar[Operation.Operator]
        IS_NOT_NULL: _ClassVar[Operation.Operator]
        CAST: _ClassVar[Operation.Operator]
        GET: _ClassVar[Operation.Operator]
        IF: _ClassVar[Operation.Operator]
        LIKE: _ClassVar[Operation.Operator]
        UPPER: _ClassVar[Operation.Operator]
        LOWER: _ClassVar[Operation.Operator]
        TRIM: _ClassVar[Operation.Operator]
        LTRIM: _ClassVar[Operation.Operator]
        RTRIM: _ClassVar[Operation.Operator]
        CHAR_LENGTH: _ClassVar[Operation.Operator]
        SUBSTRING: _ClassVar[Operation.Operator]
        CONCAT: _ClassVar[Operation.Operator]
        REPLACE: _ClassVar[Operation.Operator]
        POSITION: _ClassVar[Operation.Operator]
        REVERSE: _ClassVar[Operation.Operator]
        REPEAT: _ClassVar[Operation.Operator]
        LPAD: _ClassVar[Operation.Operator]
        RPAD: _ClassVar[Operation.Operator]
        STARTS_WITH: _ClassVar[Operation.Operator]
        ENDS_WITH: _ClassVar[Operation.Operator]
        ABS: _ClassVar[Operation.Operator]
        CEIL: _ClassVar[Operation.Operator]
        FLOOR: _ClassVar[Operation.Operator]
        ROUND: _ClassVar[Operation.Operator]
        SIGN: _ClassVar[Operation.Operator]
        SQRT: _ClassVar[Operation.Operator]
        POWER: _ClassVar[Operation.Operator]
        EXP: _ClassVar[Operation.Operator]
        LN: _ClassVar[Operation.Operator]
        LOG10: _ClassVar[Operation.Operator]
        SIN: _ClassVar[Operation.Operator]
        COS: _ClassVar[Operation.Operator]
        TAN: _ClassVar[Operation.Operator]
        EXTRACT: _ClassVar[Operation.Operator]
        TRY_CAST: _ClassVar[Operation.Operator]
        ASIN: _ClassVar[Operation.Operator]
        ACOS: _ClassVar[Operation.Operator]
        ATAN: _ClassVar[Operation.Operator]
        ATAN2: _ClassVar[Operation.Operator]
        SINH: _ClassVar[Operation.Operator]
        COSH: _ClassVar[Operation.Operator]
        TANH: _ClassVar[Operation.Operator]
    OPERATOR_UNSPECIFIED: Operation.Operator
    PLUS: Operation.Operator
    MINUS: Operation.Operator
    TIMES: Operation.Operator
    DIVIDE: Operation.Operator
    MODULO: Operation.Operator
    NEGATE: Operation.Operator
    EQUAL: Operation.Operator
    NOT_EQUAL: Operation.Operator
    LESS: Operation.Operator
    LESS_OR_EQUAL: Operation.Operator
    GREATER: Operation.Operator
    GREATER_OR_EQUAL: Operation.Operator
    AND: Operation.Operator
    OR: Operation.Operator
    NOT: Operation.Operator
    IS_NULL: Operation.Operator
    IS_NOT_NULL: Operation.Operator
    CAST: Operation.Operator
    GET: Operation.Operator
    IF: Operation.Operator
    LIKE: Operation.Operator
    UPPER: Operation.Operator
    LOWER: Operation.Operator
    TRIM: Operation.Operator
    LTRIM: Operation.Operator
    RTRIM: Operation.Operator
    CHAR_LENGTH: Operation.Operator
    SUBSTRING: Operation.Operator
    CONCAT: Operation.Operator
    REPLACE: Operation.Operator
    POSITION: Operation.Operator
    REVERSE: Operation.Operator
    REPEAT: Operation.Operator
    LPAD: Operation.Operator
    RPAD: Operation.Operator
    STARTS_WITH: Operation.Operator
    ENDS_WITH: Operation.Operator
    ABS: Operation.Operator
    CEIL: Operation.Operator
    FLOOR: Operation.Operator
    ROUND: Operation.Operator
    SIGN: Operation.Operator
    SQRT: Operation.Operator
    POWER: Operation.Operator
    EXP: Operation.Operator
    LN: Operation.Operator
    LOG10: Operation.Operator
    SIN: Operation.Operator
    COS: Operation.Operator
    TAN: Operation.Operator
    EXTRACT: Operation.Operator
    TRY_CAST: Operation.Operator
    ASIN: Operation.Operator
    ACOS: Operation.Operator
    ATAN: Operation.Operator
    ATAN2: Operation.Operator
    SINH: Operation.Operator
    COSH: Operation.Operator
    TANH: Operation.Operator
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    OPERANDS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    operator: Operation.Operator
    operands: _containers.RepeatedCompositeFieldContainer[Expression]
    type: _types_pb2.DataType
    field: str
    position: int
    def __init__(self, operator: _Optional[_Union[Operation.Operator, str]] = ..., operands: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ..., type: _Optional[_Union[_types_pb2.DataType, _Mapping]] = ..., field: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...

class Literal(_message.Message):
    __slots__ = ("type", "boolean", "integer", "number", "text", "binary")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    type: _types_pb2.DataType
    boolean: bool
    integer: int
    number: float
    text: str
    binary: bytes
    def __init__(self, type: _Optional[_Union[_types_pb2.DataType, _Mapping]] = ..., boolean: _Optional[bool] = ..., integer: _Optional[int] = ..., number: _Optional[float] = ..., text: _Optional[str] = ..., binary: _Optional[bytes] = ...) -> None: ...
