"""Environments: files, wheels, archives, packages; built once, kept while used, collected afterwards."""

from __future__ import annotations

import os
import threading
import zipfile
from pathlib import Path

import pytest
from fleet_support import BIGINT, STRING, eventually

import udfleet
from udfleet import Environment, udf


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Two executors of one node that share a folder of environments which is empty at first."""
    folder = tmp_path_factory.mktemp("environments")
    with udfleet.local(executors=2, interpreters=1, environments_dir=str(folder)) as fleet:
        fleet.environments = folder
        yield fleet


def wheel(folder: Path, name: str, version: str, value: object) -> Path:
    """A wheel as small as they come."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VALUE = {value!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def value_of(module):
    from importlib import import_module

    return str(import_module(module).VALUE)


def test_files_of_every_kind(fresh, tmp_path):
    (tmp_path / "single.py").write_text("VALUE = 'a file'\n")
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("in_zip/__init__.py", "VALUE = 'a zip'\n")
    package = tmp_path / "folder" / "in_folder"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .part import VALUE\n")
    (package / "part.py").write_text("VALUE = 'a folder'\n")
    files = [
        tmp_path / "single.py",
        tmp_path / "zipped.zip",
        tmp_path / "folder",
        wheel(tmp_path, "in_wheel", "1.0", "a wheel"),
    ]
    fresh.register_function("values", udf(value_of, STRING, STRING), environment=Environment(files=files))
    modules = ["single", "in_zip", "in_folder", "in_wheel"]
    assert fresh.call("values", modules).to_pylist() == ["a file", "a zip", "a folder", "a wheel"]


def test_archives_lie_in_the_working_folder(fresh, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.txt").write_text("0.5")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("inner/table.csv", "a,b")

    def read(path):
        with open(path) as file:
            return file.read()

    environment = Environment(archives={"model": tmp_path / "model", "tables": tmp_path / "data.zip"})
    fresh.register_function("reads", udf(read, STRING, STRING), environment=environment)
    assert fresh.call("reads", ["model/weights.txt", "tables/inner/table.csv"]).to_pylist() == ["0.5", "a,b"]


def test_packages_from_a_folder_need_no_network(fresh, tmp_path):
    (tmp_path / "packages").mkdir()
    wheel(tmp_path / "packages", "offline_only", "2.1", 21)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# what the function needs\noffline_only>=2\n")
    environment = Environment(requirements=requirements, requirements_cache=tmp_path / "packages")
    fresh.register_function("offline", udf(value_of, STRING, STRING), environment=environment)
    assert fresh.call("offline", ["offline_only"]).to_pylist() == ["21"]


def test_a_package_from_the_index(fresh):
    def distance(a):
        from haversine import haversine

        return round(haversine((0.0, 0.0), (0.0, a)))

    lines: list[str] = []
    environment = Environment(requirements=["haversine==2.9.0"])
    fresh.register_function("distance", udf(distance, "DOUBLE", BIGINT), environment=environment, on_event=lines.append)
    assert fresh.call("distance", [90.0]).to_pylist() == [10008]
    assert any("haversine==2.9.0" in line for line in lines), "the build's log reaches whoever registers"
    assert any(line.startswith("registered as distance@1") for line in lines)


def test_built_once_for_all_who_ask_at_once(fresh, tmp_path):
    """Four registrations at once, on two executors that share the folder: one build."""
    (tmp_path / "once.py").write_text("VALUE = 'built once'\n")
    environment = Environment(files=[tmp_path / "once.py"])
    before = set(fresh.environments.iterdir())
    lines: list[str] = []
    views: list[udfleet.FunctionView] = []

    def register(number: int) -> None:
        view = fresh.register_function(
            f"once_{number}", udf(value_of, STRING, STRING), environment=environment, on_event=lines.append
        )
        views.append(view)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({view.environment for view in views}) == 1 and len(views) == 4
    assert all(fresh.call(view.name, ["once"]).to_pylist() == ["built once"] for view in views)
    new = sorted(path.name for path in set(fresh.environments.iterdir()) - before)
    # The folder's name is the environment's hash, and what tells its Python.
    assert len(new) == 2 and new[1] == f"{new[0]}.lock" and new[0].startswith(f"{views[0].environment}-")
    assert sum(e.interpreters for e in fresh.executors()) >= 2


def test_another_content_is_another_environment(fresh, tmp_path):
    answers = []
    for text in ("one", "two"):
        (tmp_path / "changing.py").write_text(f"VALUE = {text!r}\n")
        environment = Environment(files=[tmp_path / "changing.py"])
        view = fresh.register_function("changing", udf(value_of, STRING, STRING), environment=environment)
        answers.append((view.version, fresh.call("changing", ["changing"]).to_pylist()))
    assert answers == [(1, ["one"]), (2, ["two"])]
    assert fresh.call("changing@1", ["changing"]).to_pylist() == ["one"], "side by side"


def test_unused_ones_are_collected_and_used_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("UDFLEET_EXECUTOR_ENVIRONMENT_TTL", "1s")
    folder = tmp_path / "environments"
    with udfleet.local(executors=1, interpreters=1, environments_dir=str(folder)) as fleet:
        hashes = {}
        for name in ("kept", "dropped"):
            (tmp_path / f"{name}.py").write_text(f"VALUE = {name!r}\n")
            environment = Environment(files=[tmp_path / f"{name}.py"])
            view = fleet.register_function(name, udf(value_of, STRING, STRING), environment=environment)
            hashes[name] = view.environment
        # Beside them lies the SDK's copy.
        built = {path.name.split("-")[0] for path in folder.iterdir() if path.is_dir() and path.name != "runtime"}
        assert built == set(hashes.values())
        fleet.drop_function("dropped")
        eventually("it is removed, and its lock", lambda: not list(folder.glob(f"{hashes['dropped']}*")))
        assert any(path.is_dir() for path in folder.glob(f"{hashes['kept']}-*"))
        assert fleet.call("kept", ["kept"]).to_pylist() == ["kept"]
        view = fleet.register_function("dropped", udf(value_of, STRING, STRING), environment=environment)
        assert view.environment == hashes["dropped"]
        assert fleet.call("dropped", ["dropped"]).to_pylist() == ["dropped"], "built again"


def test_a_folder_arrives_as_it_was(fresh, tmp_path):
    data, package = tmp_path / "data", tmp_path / "code" / "linked_package"
    (data / "empty").mkdir(parents=True)
    (data / "tool.sh").write_text("#!/bin/sh\necho ran\n")
    (data / "tool.sh").chmod(0o755)
    (data / os.fsdecode(b"caf\xe9.txt")).write_text("odd")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.txt").write_text("linked")
    (data / "folder").symlink_to(tmp_path / "elsewhere")
    (data / "inside").symlink_to("tool.sh")
    (tmp_path / "real_package").mkdir()
    (tmp_path / "real_package" / "__init__.py").write_text("VALUE = 'a linked package'\n")
    package.parent.mkdir()
    package.symlink_to(tmp_path / "real_package")

    def look(_):
        import os
        import subprocess

        from linked_package import VALUE

        names = sorted(os.fsencode(name) for name in os.listdir("data"))
        ran = subprocess.run(["./data/tool.sh"], capture_output=True, text=True).stdout.strip()
        with open("data/folder/linked.txt") as file:
            return [repr(names), ran, file.read(), os.readlink("data/inside"), VALUE]

    environment = Environment(files=[tmp_path / "code"], archives={"data": data})
    fresh.register_function("look", udf(look, STRING, "ARRAY<STRING>"), environment=environment)
    names = [b"caf\xe9.txt", b"empty", b"folder", b"inside", b"tool.sh"]
    expected = [repr(names), "ran", "linked", "tool.sh", "a linked package"]
    assert fresh.call("look", ["x"]).to_pylist() == [expected]


def test_constraints_files_travel(fresh, tmp_path):
    (tmp_path / "packages").mkdir()
    for version in ("1.0", "2.0"):
        wheel(tmp_path / "packages", "constrained_only", version, version)
    (tmp_path / "limits.txt").write_text("constrained_only < 2\nnever_asked_for == 1\n")
    (tmp_path / "requirements.txt").write_text("-c limits.txt\nconstrained_only\n")
    environment = Environment(requirements=tmp_path / "requirements.txt", requirements_cache=tmp_path / "packages")
    fresh.register_function("constrained", udf(value_of, STRING, STRING), environment=environment)
    assert fresh.call("constrained", ["constrained_only"]).to_pylist() == ["1.0"]
