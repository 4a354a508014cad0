"""Exports of streams: who can read them, what is left of those that fail, and files that are damaged."""

from __future__ import annotations

import json
import os
import stat
from types import SimpleNamespace

import pyarrow as pa
import pytest

from udfleet._client import stream_files
from udfleet._proto.udfleet.v1 import keyed_pb2
from udfleet.errors import InvalidInputError

INFO = keyed_pb2.StreamInfo(stream="s", function="f@1", partitions=1, position=3, session=2, key_schema=b"k")


def fleet(*, fails: bool = False):
    def read(request):
        yield keyed_pb2.StateChunk(stream=INFO)
        if fails:
            raise InvalidInputError("the coordinator is away")
        chunk = keyed_pb2.StateChunk(partition=0, record=b"r")
        chunk.entries.add(key=b"a", value=b"1")
        yield chunk

    sent: list[keyed_pb2.StateChunk] = []

    def take(chunks):
        sent.extend(keyed_pb2.StateChunk.FromString(chunk.SerializeToString()) for chunk in chunks)
        return sent[0].stream

    return SimpleNamespace(read_state=read, streams=list, import_stream=take, sent=sent)


def test_an_export_is_for_its_user_only_and_comes_back(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "this file system has no hard links")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "s.arrow"
    assert stream_files.export(fleet(), "s", str(path)) == INFO
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = fleet()
    assert stream_files.restore(other, str(path), "t").stream == "t"
    assert other.sent[1].record == b"r" and other.sent[1].entries[0].value == b"1"


def test_nothing_is_overwritten_and_nothing_is_left_of_one_that_fails(tmp_path):
    path = tmp_path / "s.arrow"
    path.write_text("mine")
    with pytest.raises(InvalidInputError, match="there already"):
        stream_files.export(fleet(), "s", str(path))
    assert path.read_text() == "mine"
    with pytest.raises(InvalidInputError, match="away"):
        stream_files.export(fleet(fails=True), "s", str(tmp_path / "t.arrow"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "manifest",
    [
        b"{",
        b"\xff",
        b"[]",
        b'{"format": 1}',
        json.dumps({"format": 1, "stream": "s", "function": "f@1", "partitions": "many", "position": 0, "session": 0,
                    "key_schema": ""}).encode(),
        json.dumps({"format": 1, "stream": "s", "function": "f@1", "partitions": -1, "position": 0, "session": 0,
                    "key_schema": ""}).encode(),
    ],
)  # fmt: skip
def test_a_damaged_manifest_names_the_file(tmp_path, manifest):
    path = str(tmp_path / "s.arrow")
    schema = pa.schema(stream_files._COLUMNS, metadata={stream_files._MANIFEST: manifest})
    with pa.ipc.new_file(path, schema):
        pass
    with pytest.raises(InvalidInputError, match=r"s\.arrow is damaged"):
        stream_files.restore(fleet(), path, None)
