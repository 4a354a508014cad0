"""The state of a stream, as a client reads it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from udfleet._client.stream_state import StreamState
from udfleet._proto.udfleet.v1 import keyed_pb2
from udfleet._state.codec import codec_of
from udfleet._state.layout import LAYOUT_KEY
from udfleet.types import DataTypes


def behind_its_length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class Rpc:
    """Of a stream with one value for each key that is asked for, a list and a map without entries."""

    def stream(self, stream: str) -> keyed_pb2.StreamInfo:
        schema = pa.schema([("user", pa.int64())]).serialize()
        return keyed_pb2.StreamInfo(stream=stream, key_schema=pa.ipc.read_message(schema).metadata.to_pybytes())

    def read_state(self, request: Any) -> Any:
        states = {
            "seen": {"kind": "value", "type": "BIGINT"},
            "pages": {"kind": "list", "type": "BIGINT"},
            "counts": {"kind": "map", "type": "BIGINT", "key": "BIGINT"},
        }
        chunk = keyed_pb2.StateChunk()
        chunk.entries.add(key=LAYOUT_KEY, value=json.dumps({"states": states}).encode())
        seen = codec_of(DataTypes.BIGINT()).encode(7)
        chunk.entries.add(key=behind_its_length(b"ann") + behind_its_length(b"seen") + b"v", value=seen)
        return [chunk]


def test_what_a_key_lacks_is_a_new_object_each_time() -> None:
    state = StreamState(Rpc(), "s")  # type: ignore[arg-type]
    empty = {"seen": 7, "pages": [], "counts": {}}
    for _ in range(2):
        found = state.get(1)
        assert found == empty
        found["pages"].append(1)
        found["counts"]["a"] = 1
        state.get(1, "pages").append(1)
        state.get(1, "counts")["a"] = 1
    assert (state.get(1, "seen"), state.get(1, "pages"), state.get(1, "counts")) == (7, [], {})
