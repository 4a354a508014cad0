"""Types as protobuf messages, and back."""

from __future__ import annotations

from .._proto.udfleet.v1 import types_pb2
from .datatype import DataType, Field


def to_proto(data_type: DataType) -> types_pb2.DataType:
    """The message for a type."""
    if data_type.root in ("LIST_VIEW", "MAP_VIEW"):
        raise ValueError(f"{data_type} is allowed as a field of an accumulator only")
    message = types_pb2.DataType(
        root=data_type.root,
        not_null=not data_type.is_nullable,
        length=data_type.length,
        precision=data_type.precision,
        scale=data_type.scale,
    )
    if data_type.element is not None:
        message.element.CopyFrom(to_proto(data_type.element))
    if data_type.key is not None:
        message.key.CopyFrom(to_proto(data_type.key))
    for field in data_type.fields:
        message.fields.add(name=field.name).type.CopyFrom(to_proto(field.data_type))
    return message


def accumulator_to_proto(data_type: DataType) -> types_pb2.DataType:
    """The message for an accumulator's type: views are the lists and maps that they hold."""
    fields = [Field(field.name, _without_view(field.data_type)) for field in data_type.fields]
    return to_proto(DataType("ROW", data_type.is_nullable, fields=fields) if fields else data_type)


def _without_view(data_type: DataType) -> DataType:
    root = {"LIST_VIEW": "ARRAY", "MAP_VIEW": "MAP"}.get(data_type.root)
    if root is None:
        return data_type
    return DataType(root, data_type.is_nullable, element=data_type.element, key=data_type.key)


def from_proto(message: types_pb2.DataType) -> DataType:
    """The type that a message describes."""
    return DataType(
        types_pb2.TypeRoot.Name(message.root),
        not message.not_null,
        length=message.length,
        precision=message.precision,
        scale=message.scale,
        element=from_proto(message.element) if message.HasField("element") else None,
        key=from_proto(message.key) if message.HasField("key") else None,
        fields=[Field(field.name, from_proto(field.type)) for field in message.fields],
    )
