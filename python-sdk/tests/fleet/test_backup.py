"""Backups: from one fleet into another, nothing overwritten, nothing half written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_support import eventually, failure_of, run_cli

import udfleet
from udfleet import udf
from udfleet._rpc import Rpc


def _fleet() -> udfleet.LocalFleet:
    return udfleet.local(executors=1, interpreters=1)


def _plus(number: int) -> Any:
    return udf(lambda i: i + number, "BIGINT", "BIGINT")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A backup of two versions of one function, and of one that was dropped."""
    folder = tmp_path_factory.mktemp("backups") / "backup"
    with _fleet() as fleet:
        fleet.register_function("plus", _plus(1))
        fleet.register_function("plus", _plus(2))
        fleet.register_function("gone", _plus(3))
        fleet.drop_function("gone")
        summary = fleet.backup(str(folder))
        assert (summary.functions, summary.already_present) == (2, 0)
        assert summary.artifacts >= 2
        again = failure_of(udfleet.InvalidInputError, fleet.backup, str(folder))
        assert str(folder) in again.message
    assert [path.name for path in folder.parent.iterdir()] == ["backup"], "nothing is left of the second"
    return folder


def _ready(fleet: udfleet.Fleet) -> bool:
    functions = fleet.functions(all_versions=True)
    return len(functions) == 2 and all(f.state == "READY" for f in functions)


def test_functions_move_with_their_versions(folder: Path) -> None:
    with _fleet() as fleet:
        assert json.loads(run_cli(fleet, "restore", "--json", str(folder)).stdout)["functions"] == 2
        eventually("both versions are served", lambda: _ready(fleet))
        assert fleet.call("plus@1", [1]).to_pylist() == [2]
        assert fleet.call("plus", [1]).to_pylist() == [3]
        # Numbers go on where they were, of what was dropped too.
        assert fleet.register_function("plus", _plus(4)).version == 3
        assert fleet.register_function("gone", _plus(3)).version == 2
        assert fleet.restore(str(folder)).already_present == 2, "once more does nothing"


def test_nothing_is_overwritten(folder: Path) -> None:
    with _fleet() as fleet:
        fleet.register_function("plus", _plus(7))
        refused = failure_of(udfleet.InvalidInputError, fleet.restore, str(folder))
        assert refused.function == "plus@1"
        assert [f.reference for f in fleet.functions(all_versions=True)] == ["plus@1"]
        assert fleet.call("plus", [1]).to_pylist() == [8]


def test_an_interrupted_restore_can_be_run_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = Rpc.import_function

    def once(rpc: Rpc, request: Any) -> Any:
        if not request.check_only and request.definition.version == 2:
            raise KeyboardInterrupt
        return imported(rpc, request)

    with _fleet() as fleet:
        with monkeypatch.context() as patched:
            patched.setattr(Rpc, "import_function", once)
            with pytest.raises(KeyboardInterrupt):
                fleet.restore(str(folder))
        assert [f.reference for f in fleet.functions(all_versions=True)] == ["plus@1"]
        assert fleet.restore(str(folder)).already_present == 1
        eventually("both versions are served", lambda: _ready(fleet))


def test_what_is_damaged_is_refused_before_anything_changes(folder: Path, fleet: udfleet.Fleet) -> None:
    before = {f.reference for f in fleet.functions(all_versions=True)}
    files = [next((folder / "artifacts").iterdir()), next((folder / "functions").iterdir()), folder / "backup.json"]
    for file in files:
        good = file.read_bytes()
        file.write_bytes(good[:-1])
        try:
            failure_of(udfleet.InvalidInputError, fleet.restore, str(folder))
        finally:
            file.write_bytes(good)
    failure_of(udfleet.InvalidInputError, fleet.restore, str(folder / "functions"))
    assert {f.reference for f in fleet.functions(all_versions=True)} == before
