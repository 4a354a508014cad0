"""Which states a stream has: recorded with its state, so that the next version of a function finds what it can read.

The record is kept: what is written into it must stay readable.
"""

from __future__ import annotations

import json

from ..types import DataType
from ..types.sql import parse
from .descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    StateTtlConfig,
    StateVisibility,
    UpdateType,
    ValueStateDescriptor,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .backend import StateBackend

LAYOUT_KEY = b"\xff\xff\xff\xff"
"""Where the record lies: states of keys begin with the length of their key, which none of this length is."""

_KINDS: dict[str, type[StateDescriptor]] = {
    "value": ValueStateDescriptor,
    "list": ListStateDescriptor,
    "map": MapStateDescriptor,
    "reducing": ReducingStateDescriptor,
    "aggregating": AggregatingStateDescriptor,
}
_TEXTS = ("VARCHAR", "VARBINARY")


class StateLayoutError(TypeError):
    """State of another kind or type than the function declares."""


class RecordedState:
    """One state as it is recorded."""

    __slots__ = ("key_type", "kind", "name", "ttl", "value_type")

    def __init__(
        self,
        name: str,
        kind: str,
        value_type: DataType,
        key_type: DataType | None,
        ttl: tuple[int, str, str] | None,
    ) -> None:
        self.name = name
        self.kind = kind
        """`value`, `list`, `map`, `reducing` or `aggregating`."""
        self.value_type = value_type
        self.key_type = key_type
        """Of a map's keys."""
        self.ttl = ttl
        """Milliseconds, update type and visibility."""

    @staticmethod
    def of(descriptor: StateDescriptor) -> RecordedState:
        """What a function declares."""
        kind = next((kind for kind, known in _KINDS.items() if type(descriptor) is known), type(descriptor).__name__)
        ttl = descriptor.ttl
        timed = None if ttl is None else (ttl.milliseconds, ttl.update_type.name, ttl.visibility.name)
        key_type = getattr(descriptor, "key_type_info", None)
        return RecordedState(descriptor.name, kind, descriptor.type_info, key_type, timed)

    @staticmethod
    def from_json(name: str, record: dict[str, Any]) -> RecordedState:
        """What was recorded."""
        key, ttl = record.get("key"), record.get("ttl")
        timed = None if ttl is None else (int(ttl[0]), str(ttl[1]), str(ttl[2]))
        return RecordedState(name, record["kind"], parse(record["type"]), parse(key) if key else None, timed)

    def to_json(self) -> dict[str, Any]:
        """As it is recorded."""
        record: dict[str, Any] = {"kind": self.kind, "type": str(self.value_type)}
        if self.key_type is not None:
            record["key"] = str(self.key_type)
        if self.ttl is not None:
            record["ttl"] = list(self.ttl)
        return record

    def ttl_config(self) -> StateTtlConfig | None:
        """How its values expire."""
        if self.ttl is None:
            return None
        return StateTtlConfig(self.ttl[0], UpdateType[self.ttl[1]], StateVisibility[self.ttl[2]])

    def difference(self, other: RecordedState) -> str | None:
        """Why values that were written like this can't be read like the other; None: they can."""
        if self.kind != other.kind and {self.kind, other.kind} != {"value", "reducing"}:
            return f"it was a {self.kind} state and is a {other.kind} state"
        if not _reads(self.value_type, other.value_type):
            return f"its type was {self.value_type} and is {other.value_type}"
        if self.key_type is not None and other.key_type is not None and not _reads(self.key_type, other.key_type):
            return f"the type of its keys was {self.key_type} and is {other.key_type}"
        if (self.ttl is None) != (other.ttl is None):
            return "its values did not expire and now do" if self.ttl is None else "its values expired and now don't"
        return None


def _reads(was: DataType, now: DataType) -> bool:
    """Whether bytes of one type are those of the same values of the other."""
    if was.root != now.root or (was.is_nullable and not now.is_nullable):
        return False
    if was.root in _TEXTS:
        return now.length >= was.length
    if was.root == "DECIMAL":
        return was.scale == now.scale and now.precision >= was.precision
    if (was.length, was.precision, was.scale) != (now.length, now.precision, now.scale):
        return False
    for part, other in ((was.element, now.element), (was.key, now.key)):
        if part is not None and other is not None and not _reads(part, other):
            return False
    if [field.name for field in was.fields] != [field.name for field in now.fields]:
        return False
    return all(_reads(field.data_type, other.data_type) for field, other in zip(was.fields, now.fields))


def recorded(data: bytes | None) -> dict[str, RecordedState]:
    """The states of a record, by their names."""
    if data is None:
        return {}
    states = json.loads(data)["states"]
    return {name: RecordedState.from_json(name, record) for name, record in states.items()}


class StateLayout:
    """The states that one instance declares, beside those that its stream has at its partition."""

    def __init__(self, backend: StateBackend) -> None:
        self._backend = backend
        self._known: dict[str, RecordedState] | None = None
        self._changed = False

    def declare(self, descriptor: StateDescriptor) -> None:
        """A function declares a state.

        :raises StateLayoutError: values of that name were written otherwise.
        """
        if self._known is None:
            self._known = recorded(self._backend.read([LAYOUT_KEY])[0])
        state, known = RecordedState.of(descriptor), self._known.get(descriptor.name)
        difference = None if known is None else known.difference(state)
        if difference is not None:
            raise StateLayoutError(f"state {descriptor.name!r} of the stream can't be kept: {difference}")
        if known is None or known.to_json() != state.to_json():
            self._known[descriptor.name] = state
            self._changed = True

    def take_changes(self) -> list[tuple[bytes, bytes | None]]:
        """What is to be written, once. States that are not declared any more are kept: they lie there still."""
        if not self._changed or self._known is None:
            return []
        self._changed = False
        states = {name: state.to_json() for name, state in sorted(self._known.items())}
        return [(LAYOUT_KEY, json.dumps({"states": states}, separators=(",", ":")).encode())]
