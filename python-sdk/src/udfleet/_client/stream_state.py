"""The committed state of a stream, read from outside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .._proto.udfleet.v1 import keyed_pb2
from .._state.clock import BundleClock
from .._state.codec import codec_of
from .._state.layout import LAYOUT_KEY, RecordedState, recorded
from .._state.lifetime import Lifetime
from ..errors import InvalidInputError
from ..streams import schema_of
from .stream_keys import decode_key
from .stream_views import StreamView, stream_view

if TYPE_CHECKING:
    from .._rpc import Rpc

_LENGTH = 4
_EMPTY: dict[str, type[Any]] = {"list": list, "map": dict}


class StreamState:
    """What a stream keeps for its keys: made by `Fleet.stream_state`. All that is read is committed."""

    def __init__(self, rpc: Rpc, stream: str) -> None:
        self._rpc = rpc
        self._info = rpc.stream(stream)
        self.key_schema = schema_of(self._info.key_schema)
        """The columns that its keys are made of."""

    @property
    def view(self) -> StreamView:
        """The stream, as it was when this was made."""
        return stream_view(self._info)

    def get(self, key: Any, state: str | None = None) -> Any:
        """The state of one key: a dict of all its states by their names, or the one that is named.

        A value is None, a list `[]` and a map `{}` where there is none. An aggregating state is its accumulator.

        :param key: a value, or a tuple where keys are made of several columns.
        :raises InvalidInputError: the key does not fit the stream's, or it has no state of that name.
        """
        chunks = self._rpc.read_state(self._request(key))
        found, states = {}, {}
        for _, values, known in _keys(chunks):
            found, states = values, known
        if state is None:
            return {name: _value(found, known) for name, known in states.items()} if found else {}
        if states and state not in states:
            raise InvalidInputError(
                f"stream {self._info.stream!r} has no state {state!r}", hint=f"it has {', '.join(sorted(states))}"
            )
        return _value(found, states[state]) if states else None

    def items(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """All keys with their states, as of one moment, in no order that means anything. It takes constant memory."""
        chunks = self._rpc.read_state(keyed_pb2.ReadStateRequest(stream=self._info.stream))
        for key, values, _ in _keys(chunks):
            if values and key is not None:
                yield decode_key(key, self.key_schema), values

    def keys(self) -> Iterator[Any]:
        """All keys that have state."""
        return (key for key, _ in self.items())

    def __iter__(self) -> Iterator[Any]:
        return self.keys()

    def states(self) -> dict[str, RecordedState]:
        """The states that its function has declared, by name: those of the first partition that has any."""
        for chunk in self._rpc.read_state(keyed_pb2.ReadStateRequest(stream=self._info.stream)):
            for entry in chunk.entries:
                if entry.key == LAYOUT_KEY:
                    return recorded(entry.value)
        return {}

    def _request(self, key: Any) -> keyed_pb2.ReadStateRequest:
        parts = key if isinstance(key, tuple) and len(self.key_schema) > 1 else (key,)
        if len(parts) != len(self.key_schema):
            names = ", ".join(self.key_schema.names)
            raise InvalidInputError(f"a key has {len(self.key_schema)} parts ({names}), not {len(parts)}")
        try:
            columns = [pa.array([part], field.type) for part, field in zip(parts, self.key_schema, strict=True)]
        except (pa.ArrowException, TypeError, OverflowError) as error:
            types = ", ".join(str(field.type) for field in self.key_schema)
            raise InvalidInputError(f"{key!r:.100} is no key of type {types}: {error}") from None
        message = pa.ipc.read_message(pa.RecordBatch.from_arrays(columns, schema=self.key_schema).serialize())
        return keyed_pb2.ReadStateRequest(
            stream=self._info.stream, key_header=message.metadata.to_pybytes(), key_body=message.body.to_pybytes()
        )


def _value(found: dict[str, Any], state: RecordedState) -> Any:
    """The value of a state, or a new empty one."""
    if state.name in found or state.kind not in _EMPTY:
        return found.get(state.name)
    return _EMPTY[state.kind]()


_Found = tuple["bytes | None", "dict[str, Any]", "dict[str, RecordedState]"]


def _keys(chunks: Iterable[keyed_pb2.StateChunk]) -> Iterator[_Found]:
    """Encoded keys with the values of their states; without a key, what is known of the states."""
    decoder = _Decoder({})
    key: bytes | None = None
    values: dict[str, Any] = {}
    for chunk in chunks:
        for entry in chunk.entries:
            if entry.key == LAYOUT_KEY:
                if key is not None:
                    yield key, values, decoder.states
                    key, values = None, {}
                decoder = _Decoder(recorded(entry.value))
                yield None, {}, decoder.states
                continue
            other, rest = _split(entry.key)
            if key is not None and other != key:
                yield key, values, decoder.states
                values = {}
            key = other
            decoder.add(values, rest, entry.value)
    if key is not None:
        yield key, values, decoder.states


def _split(data: bytes) -> tuple[bytes, bytes]:
    """What lies behind its length, and what follows."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    return data[_LENGTH:end], data[end:]


class _Decoder:
    """Entries of a partition as Python values."""

    def __init__(self, states: dict[str, RecordedState]) -> None:
        self.states = states
        clock = BundleClock()
        clock.begin(0, int(time.time() * 1000))
        self._values = {name: codec_of(state.value_type) for name, state in states.items()}
        self._keys = {name: codec_of(state.key_type) for name, state in states.items() if state.key_type is not None}
        self._lifetimes = {name: Lifetime(state.ttl_config(), clock) for name, state in states.items()}

    def add(self, values: dict[str, Any], rest: bytes, stamped: bytes) -> None:
        """Takes one entry of a key up: the rest of its key is the state's name and the place in it."""
        encoded, place = _split(rest)
        name, kind = encoded.decode(), place[:1]
        if name not in self.states or self._lifetimes[name].is_hidden(stamped):
            return
        data = self._lifetimes[name].data(stamped)
        if kind == b"v":
            values[name] = self._values[name].decode(data)
        elif kind == b"l":
            values.setdefault(name, []).append(self._values[name].decode(data))
        elif kind == b"m":
            # As `MapCell` writes them: a value that is None has bytes too.
            item = None if data[:1] == b"\0" else self._values[name].decode(data[1:])
            values.setdefault(name, {})[self._keys[name].decode(place[1:])] = item
