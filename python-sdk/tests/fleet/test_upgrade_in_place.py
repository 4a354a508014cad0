"""Programs that are replaced while they run, as packages do: what runs goes on, and starts what it needs."""

from __future__ import annotations

import shutil

import udfleet
from udfleet import DataTypes, Environment, udf
from udfleet._local import binaries


@udf(result_type=DataTypes.STRING())
def reads(path: str) -> str:
    with open(path) as file:
        return file.read()


def test_archives_are_unpacked_after_it(tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    shutil.copytree(binaries.find_folder(), programs, ignore=lambda folder, names: set(names) - wanted())
    monkeypatch.setenv("UDFLEET_BIN_DIR", str(programs))
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("12")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        for name in wanted():
            # The file that runs is unlinked: /proc/self/exe has no name any more.
            shutil.copy2(programs / name, programs / f"{name}.new")
            (programs / f"{name}.new").rename(programs / name)
        fleet.register_function("reads", reads, Environment(archives={"model": model}))
        assert fleet.call("reads", ["model/weights"]).to_pylist() == ["12"]


def wanted() -> set[str]:
    return {binaries.COORDINATOR, binaries.EXECUTOR, "udfleet-interpreter", "libudfleet_interpreter.so"}
