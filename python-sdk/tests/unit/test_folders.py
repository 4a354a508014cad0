"""Folders as artifacts: what lies in them arrives as it was, and is hashed once."""

from __future__ import annotations

import io
import os
import socket
import sys
import tarfile
from pathlib import Path

import pytest

import udfleet
from udfleet import Environment, InvalidDefinitionError, udf
from udfleet._packing import archive, content
from udfleet._packing.archive import folder_files
from udfleet._packing.content import PathContent
from udfleet._packing.definition import build
from udfleet._packing.shipment import Shipment


def unpacked(path, target: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(b"".join(PathContent(str(path)).chunks()))) as tar:
        tar.extractall(target, filter="fully_trusted")
    return target


def names(folder: Path) -> list[str]:
    return sorted(os.path.relpath(os.path.join(parent, name), folder)
                  for parent, folders, files in os.walk(folder) for name in (*folders, *files))  # fmt: skip


def make(environment):
    return build("f", udf(len, "STRING", "INT"), environment, {}, {}, "j", Shipment()).environment


def settle(folder: Path) -> None:
    """As if nothing in it had changed for a while."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (1e9, 1e9), follow_symlinks=False)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "package").mkdir(parents=True)
    (root / "package" / "__init__.py").write_text("x = 1\n")
    (root / "empty").mkdir(mode=0o750)
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "tool.sh").chmod(0o755)
    (root / "secret.txt").write_text("s")
    (root / "secret.txt").chmod(0o600)
    (root / "inside").symlink_to("package")
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "data.txt").write_text("linked")
    (root / "outside").symlink_to(tmp_path / "elsewhere")
    (root / "relative_outside").symlink_to("../elsewhere/deep")
    (root / "file_link.txt").symlink_to(tmp_path / "elsewhere" / "deep" / "data.txt")
    (root / "dangling").symlink_to("nothing")
    return root


def test_a_folder_arrives_as_it_was(folder, tmp_path):
    got = unpacked(folder, tmp_path / "got")
    assert names(got) == sorted(
        ["package", "package/__init__.py", "empty", "tool.sh", "secret.txt", "inside", "outside", "outside/deep",
         "outside/deep/data.txt", "relative_outside", "relative_outside/data.txt", "file_link.txt", "dangling"]
    )  # fmt: skip
    assert (os.readlink(got / "inside"), os.readlink(got / "dangling")) == ("package", "nothing")
    assert not (got / "outside").is_symlink() and (got / "outside/deep/data.txt").read_text() == "linked"
    assert not (got / "file_link.txt").is_symlink() and (got / "file_link.txt").read_text() == "linked"
    modes = {name: (got / name).stat().st_mode & 0o777 for name in ("tool.sh", "secret.txt", "empty")}
    assert modes == {"tool.sh": 0o755, "secret.txt": 0o600, "empty": 0o750}


def test_a_linked_folder_itself(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert PathContent(str(tmp_path / "link")).digest == PathContent(str(folder)).digest


def test_what_is_left_out(tmp_path):
    for name in (".git", "__pycache__", "kept"):
        (tmp_path / "f" / name).mkdir(parents=True)
        (tmp_path / "f" / name / "x").write_text("x")
    (tmp_path / "f" / "compiled.py").write_text("")
    (tmp_path / "f" / "compiled.pyc").write_bytes(b"")
    (tmp_path / "f" / "sourceless.pyc").write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "f" / "socket"))
        assert names(unpacked(tmp_path / "f", tmp_path / "got")) == ["compiled.py", "kept", "kept/x", "sourceless.pyc"]


def test_circles_of_links_are_refused(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    with pytest.raises(InvalidDefinitionError, match="a folder around it") as caught:
        PathContent(str(tmp_path / "a"))
    assert caught.value.hint


def test_file_names_of_any_bytes(tmp_path):
    name = os.fsdecode(b"caf\xe9.bin")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / name).write_text("x")
    (tmp_path / "f" / ("long" * 60)).write_text("y")
    assert sorted(names(unpacked(tmp_path / "f", tmp_path / "got"))) == sorted([name, "long" * 60])
    (tmp_path / f"{name}.py").write_text("")
    for environment in (Environment(files=[tmp_path / f"{name}.py"]), Environment(archives=[tmp_path / "f" / name])):
        with pytest.raises(InvalidDefinitionError) as caught:
            make(environment)
        assert "\\xe9" in str(caught.value) and "UTF-8" in str(caught.value)
    with pytest.raises(InvalidDefinitionError) as caught:
        make(Environment(archives=[tmp_path / name / "absent"]))
    str(caught.value).encode()
    assert make(Environment(archives={"data": tmp_path / "f"})).archives[0].name == "data"


def test_content_that_stays_is_hashed_once(folder, tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(content, "_hash", lambda given, real=content._hash: hashed.append(given) or real(given))
    settle(tmp_path)
    first = PathContent(str(folder)).digest
    assert PathContent(str(folder)).digest == first and PathContent(f"{folder}/").digest == first
    assert len(hashed) == 1
    for change in (
        lambda: (folder / "secret.txt").write_text("t"),
        lambda: (folder / "tool.sh").chmod(0o644),
        lambda: (folder / "empty" / "new").mkdir(),
        lambda: (tmp_path / "elsewhere" / "deep" / "data.txt").write_text("other"),
        lambda: ((folder / "inside").unlink(), (folder / "inside").symlink_to("empty")),
    ):
        change()
        settle(tmp_path)
        changed = PathContent(str(folder)).digest
        assert changed != first
        first = changed
    # What has just changed may change again within the clock's tick.
    (folder / "secret.txt").write_text("u")
    count = len(hashed)
    assert PathContent(str(folder)).digest == PathContent(str(folder)).digest and len(hashed) == count + 2


def test_changes_and_failures_while_it_is_read(folder):
    held = PathContent(str(folder))
    (folder / "secret.txt").write_text("longer than before")
    with pytest.raises(InvalidDefinitionError, match="changed while it was read"):
        list(held.chunks())
    (folder / "secret.txt").unlink()
    with pytest.raises(InvalidDefinitionError, match="can't be read"):
        list(held.chunks())

    class Rpc:
        def missing(self, hashes):
            return set(hashes)

        def put(self, chunks, timeout):
            try:
                list(chunks())
            except InvalidDefinitionError:
                raise udfleet.UnreachableError("iterating requests") from None

    shipment = Shipment()
    shipment._add("x", held)
    with pytest.raises(InvalidDefinitionError, match="can't be read"):
        shipment.send(Rpc(), lambda line: None, None)


def test_files_follow_links(folder):
    found = [name for _, name in folder_files(str(folder))]
    assert "outside/deep/data.txt" in found and "file_link.txt" in found and "empty" not in found
    assert archive.printable("a") == "'a'"


@pytest.mark.parametrize(
    ("paths", "taken"),
    [
        (["types.py"], "types"),
        (["folder/queue.py"], "queue"),
        (["folder/json/__init__.py"], "json"),
        (["udfleet.py"], "udfleet"),
        (["folder/cloudpickle/__init__.py"], "cloudpickle"),
    ],
)
def test_names_of_the_standard_library_are_refused(paths, taken, tmp_path):
    for name in paths:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(InvalidDefinitionError, match=f"brings the module '{taken}'") as caught:
        make(Environment(files=[tmp_path / paths[0].split("/")[0]]))
    assert "rename" in caught.value.hint


def test_folders_that_are_no_modules_shadow_nothing(tmp_path):
    for name in ("resource/data.txt", "code/notes.md", "mine/types.py"):
        (tmp_path / "f" / name).parent.mkdir(parents=True)
        (tmp_path / "f" / name).write_text("")
    assert make(Environment(files=[tmp_path / "f"])).files[0].name == "f.tar"
    assert "types" in sys.stdlib_module_names
