"""Capsules as files and under the debugger: who can read them, what is in the test, and what the function finds."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import json
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import pyarrow as pa
import pytest

from udfleet._client import capsules
from udfleet._proto.udfleet.v1 import capsule_pb2, error_pb2, function_pb2
from udfleet._replay import debugger, debugger_main
from udfleet._replay.capsule_file import CapsuleFile
from udfleet._replay.pytest_file import write_test
from udfleet.errors import InvalidInputError


def capsule(function: str = "add@3", exception: str = "ValueError", number: str = "0123") -> CapsuleFile:
    message = capsule_pb2.Capsule()
    message.summary.function, message.summary.exception, message.summary.id = function, exception, number
    message.error.code = error_pb2.USER_CODE
    message.functions.add(name="add", version=3)
    return CapsuleFile(message)


def test_the_capsule_beside_a_test_is_for_its_user_only(tmp_path):
    held = capsule()
    beside = write_test(held, tmp_path / "test_add.py")
    assert beside == tmp_path / "add_3-0123.capsule"
    assert stat.S_IMODE(beside.stat().st_mode) == 0o600
    assert CapsuleFile.read(beside).message == held.message
    assert ast.get_docstring(ast.parse((tmp_path / "test_add.py").read_text())).startswith(
        "add@3 failed with USER_CODE (ValueError). Written by"
    )


def test_neither_file_is_overwritten_and_no_half_is_left(tmp_path):
    test = tmp_path / "test_add.py"
    beside = write_test(capsule(), test)
    beside.write_bytes(b"mine")
    test.unlink()
    with pytest.raises(InvalidInputError, match="capsule: File exists"):
        write_test(capsule(), test)
    assert beside.read_bytes() == b"mine" and not test.exists()
    beside.unlink()
    test.write_text("mine")
    with pytest.raises(InvalidInputError, match=r"test_add\.py: File exists"):
        write_test(capsule(), test)
    assert test.read_text() == "mine" and not beside.exists()


@pytest.mark.parametrize("evil", ['x"""\nimport os\nos.abort()\n"""', "x\\", '");import os;("', "a/../b"])
def test_nothing_that_a_capsule_names_is_run(tmp_path, evil):
    for held in (capsule(function=evil), capsule(exception=evil), capsule(number=evil)):
        path = tmp_path / "test_evil.py"
        beside = write_test(held, path)
        tree = ast.parse(path.read_text())
        kinds = [type(node).__name__ for node in tree.body]
        assert kinds == ["Expr", "ImportFrom", "Import", "Assign", "Assign", "FunctionDef"]
        assert beside.parent == tmp_path and ast.unparse(tree.body[3]).endswith(f".with_name({beside.name!r})")
        path.unlink()
        beside.unlink()


def test_a_capsule_that_did_not_come_whole_is_not_kept(tmp_path):
    def pieces(name):
        yield b"a"
        raise InvalidInputError("the executor is away")

    with pytest.raises(InvalidInputError, match="away"):
        capsules.save(SimpleNamespace(fetch_capsule=pieces), "0123", tmp_path / "c")
    capsules.save(SimpleNamespace(fetch_capsule=lambda name: [b"a", b"b"]), "0123", tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"ab" and stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o600


def test_a_function_under_the_debugger_has_its_secrets(tmp_path):
    found = tmp_path / "found.json"

    def look(path):
        folder = os.environ["UDFLEET_SECRETS_DIR"]
        files = {name: open(os.path.join(folder, name)).read() for name in os.listdir(folder)}
        modes = {os.stat(folder).st_mode & 0o777, *(os.stat(os.path.join(folder, n)).st_mode & 0o777 for n in files)}
        with open(path, "w") as out:
            json.dump([os.environ["KEY"], "OTHER" in os.environ, files, sorted(modes)], out)

    payload = cloudpickle.dumps(look)
    held = capsule()
    definition = held.message.functions[0]
    definition.func_type, definition.kind = function_pb2.GENERAL, function_pb2.SCALAR
    definition.secrets.append("KEY")
    definition.payload.hash = hashlib.sha256(payload).hexdigest()
    held.message.files.add(hash=definition.payload.hash, data=payload)
    batch = pa.record_batch({"path": [str(found)]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    held.message.input = sink.getvalue().to_pybytes()
    built = tmp_path / "environment" / "complete.json"
    built.parent.mkdir()
    built.write_text(json.dumps({"python": sys.executable, "sys_path": sys.path, "working_dir": str(tmp_path)}))
    assert debugger.debug(held, Path(tmp_path), "environment", {"KEY": "value\n", "OTHER": "not asked for"}) == 0
    assert json.loads(found.read_text()) == ["value", False, {"KEY": "value\n"}, [0o600, 0o700]]


def test_all_that_a_debugged_function_awaits_runs_in_one_loop():
    async def running():
        return asyncio.get_running_loop()

    first = debugger_main.finish(running())
    try:
        assert debugger_main.finish(running()) is first and not first.is_closed()
    finally:
        asyncio.set_event_loop(None)
        first.close()
        debugger_main.loop.cache_clear()
