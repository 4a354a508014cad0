from . import plan_pb2 as _plan_pb2
from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stage(_message.Message):
    __slots__ = ("functions", "environment", "inputs", "steps", "results", "outputs", "pipeline_breaker", "partition_by")
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_BREAKER_FIELD_NUMBER: _ClassVar[int]
    PARTITION_BY_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedScalarFieldContainer[str]
    environment: str
    inputs: _containers.RepeatedCompositeFieldContainer[_types_pb2.Field]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    results: _containers.RepeatedScalarFieldContainer[int]
    outputs: _containers.RepeatedCompositeFieldContainer[_types_pb2.Field]
    pipeline_breaker: bool
    partition_by: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, functions: _Optional[_Iterable[str]] = ..., environment: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_types_pb2.Field, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., results: _Optional[_Iterable[int]] = ..., outputs: _Optional[_Iterable[_Union[_types_pb2.Field, _Mapping]]] = ..., pipeline_breaker: _Optional[bool] = ..., partition_by: _Optional[_Iterable[int]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("text", "literal", "compute", "invoke", "filter", "unnest", "aggregation", "flatten")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    INVOKE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    UNNEST_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    FLATTEN_FIELD_NUMBER: _ClassVar[int]
    text: str
    literal: _plan_pb2.Literal
    compute: Compute
    invoke: Invocation
    filter: int
    unnest: Unnest
    aggregation: Aggregation
    flatten: int
    def __init__(self, text: _Optional[str] = ..., literal: _Optional[_Union[_plan_pb2.Literal, _Mapping]] = ..., compute: _Optional[_Union[Compute, _Mapping]] = ..., invoke: _Optional[_Union[Invocation, _Mapping]] = ..., filter: _Optional[int] = ..., unnest: _Optional[_Union[Unnest, _Mapping]] = ..., aggregation: _Optional[_Union[Aggregation, _Mapping]] = ..., flatten: _Optional[int] = ...) -> None: ...

class Compute(_message.Message):
    __slots__ = ("operator", "operands", "type", "field")
    class DatePart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DATE_PART_UNSPECIFIED: _ClassVar[Compute.DatePart]
        YEAR: _ClassVar[Compute.DatePart]
        QUARTER: _ClassVar[Compute.DatePart]
        MONTH: _ClassVar[Compute.DatePart]
        WEEK: _ClassVar[Compute.DatePart]
        DAY: _ClassVar[Compute.DatePart]
        DOW: _ClassVar[Compute.DatePart]
        DOY: _ClassVar[Compute.DatePart]
        HOUR: _ClassVar[Compute.DatePart]
        MINUTE: _ClassVar[Compute.DatePart]
        SECOND: _ClassVar[Compute.DatePart]
    DATE_PART_UNSPECIFIED: Compute.DatePart
    YEAR: Compute.DatePart
    QUARTER: Compute.DatePart
    MONTH: Compute.DatePart
    WEEK: Compute.DatePart
    DAY: Compute.DatePart
    DOW: Compute.DatePart
    DOY: Compute.DatePart
    HOUR: Compute.DatePart
    MINUTE: Compute.DatePart
    SECOND: Compute.DatePart
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    OPERANDS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    operator: _plan_pb2.Operation.Operator
    operands: _containers.RepeatedScalarFieldContainer[int]
    type: _types_pb2.DataType
    field: int
    def __init__(self, operator: _Optional[_Union[_plan_pb2.Operation.Operator, str]] = ..., operands: _Optional[_Iterable[int]] = ..., type: _Optional[_Union[_types_pb2.DataType, _Mapping]] = ..., field: _Optional[int] = ...) -> None: ...

class Invocation(_message.Message):
    __slots__ = ("function", "arguments", "row")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    function: int
    arguments: _containers.RepeatedScalarFieldContainer[int]
    row: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, function: _Optional[int] = ..., arguments: _Optional[_Iterable[int]] = ..., row: _Optional[_Iterable[str]] = ...) -> None: ...

class Unnest(_message.Message):
    __slots__ = ("call", "outer")
    CALL_FIELD_NUMBER: _ClassVar[int]
    OUTER_FIELD_NUMBER: _ClassVar[int]
    call: Invocation
    outer: bool
    def __init__(self, call: _Optional[_Union[Invocation, _Mapping]] = ..., outer: _Optional[bool] = ...) -> None: ...

class Aggregation(_message.Message):
    __slots__ = ("keys", "aggregates", "phase")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[Aggregation.Phase]
        COMPLETE: _ClassVar[Aggregation.Phase]
        PARTIAL: _ClassVar[Aggregation.Phase]
        MERGE: _ClassVar[Aggregation.Phase]
    PHASE_UNSPECIFIED: Aggregation.Phase
    COMPLETE: Aggregation.Phase
    PARTIAL: Aggregation.Phase
    MERGE: Aggregation.Phase
    KEYS_FIELD_NUMBER: _ClassVar[int]
    AGGREGATES_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[int]
    aggregates: _containers.RepeatedCompositeFieldContainer[AggregateCall]
    phase: Aggregation.Phase
    def __init__(self, keys: _Optional[_Iterable[int]] = ..., aggregates: _Optional[_Iterable[_Union[AggregateCall, _Mapping]]] = ..., phase: _Optional[_Union[Aggregation.Phase, str]] = ...) -> None: ...

class AggregateCall(_message.Message):
    __slots__ = ("call", "distinct", "filter", "builtin", "type", "text")
    class Builtin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BUILTIN_UNSPECIFIED: _ClassVar[AggregateCall.Builtin]
        COUNT: _ClassVar[AggregateCall.Builtin]
        SUM: _ClassVar[AggregateCall.Builtin]
        AVG: _ClassVar[AggregateCall.Builtin]
        MIN: _ClassVar[AggregateCall.Builtin]
        MAX: _ClassVar[AggregateCall.Builtin]
        STDDEV_POP: _ClassVar[AggregateCall.Builtin]
        STDDEV_SAMP: _ClassVar[AggregateCall.Builtin]
        VAR_POP: _ClassVar[AggregateCall.Builtin]
        VAR_SAMP: _ClassVar[AggregateCall.Builtin]
    BUILTIN_UNSPECIFIED: AggregateCall.Builtin
    COUNT: AggregateCall.Builtin
    SUM: AggregateCall.Builtin
    AVG: AggregateCall.Builtin
    MIN: AggregateCall.Builtin
    MAX: AggregateCall.Builtin
    STDDEV_POP: AggregateCall.Builtin
    STDDEV_SAMP: AggregateCall.Builtin
    VAR_POP: AggregateCall.Builtin
    VAR_SAMP: AggregateCall.Builtin
    CALL_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    BUILTIN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    call: Invocation
    distinct: bool
    filter: int
    builtin: AggregateCall.Builtin
    type: _types_pb2.DataType
    text: str
    def __init__(self, call: _Optional[_Union[Invocation, _Mapping]] = ..., distinct: _Optional[bool] = ..., filter: _Optional[int] = ..., builtin: _Optional[_Union[AggregateCall.Builtin, str]] = ..., type: _Optional[_Union[_types_pb2.DataType, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...
