"""Secrets and variables on a real fleet: who sees them, what happens where they are missing or change."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import eventually, run_cli

import udfleet
from udfleet import DataTypes, Environment, udf

VALUE = "s3cr3t-of-the-test"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """As Kubernetes mounts secrets: each file is a link into a folder that is exchanged as a whole."""
    # Functions of the tests may read pytest's own folders.
    with tempfile.TemporaryDirectory() as made:
        put(Path(made), 1, API_KEY=VALUE + "\n")
        yield Path(made)


def put(folder: Path, version: int, **values: str) -> None:
    content = folder / f"..version_{version}"
    content.mkdir()
    for name, value in values.items():
        (content / name).write_text(value)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data", name))
    (folder / "..data_tmp").symlink_to(content.name)
    (folder / "..data_tmp").rename(folder / "..data")


@pytest.fixture(scope="module")
def fleet(folder) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=1, interpreters=1, secrets=str(folder)) as running:
        yield running


@udf(result_type=DataTypes.STRING())
def variable(name: str) -> str:
    return os.environ.get(name, "")


@udf(result_type=DataTypes.STRING())
def file_of(name: str) -> str:
    path = os.path.join(os.environ["UDFLEET_SECRETS_DIR"], name)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    with open(path) as file:
        return f"{mode:o} {file.read()}"


@udf(result_type=DataTypes.STRING())
def where(name: str) -> str:
    return f"{os.environ[name]} {os.getpid()}"


@udf(result_type=DataTypes.STRING())
def read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError as error:
        return type(error).__name__


@udf(result_type=DataTypes.STRING())
def ends(name: str) -> str:
    os._exit(3)


def once(fleet, name, function, argument, **options) -> str:
    fleet.register_function(name, function, **options)
    return fleet.call(name, [argument]).to_pylist()[0]


def registers(fleet, name, secrets) -> bool:
    try:
        fleet.register_function(name, variable, secrets=secrets)
    except udfleet.InfeasibleError:
        return False
    return True


def test_a_function_sees_the_secrets_that_it_names_and_no_other_does(fleet):
    environment = Environment(env={"MODEL": "small"}, secrets=["API_KEY"])
    assert once(fleet, "sees", variable, "API_KEY", environment=environment) == VALUE
    assert fleet.call("sees", ["MODEL"]).to_pylist() == ["small"]
    assert once(fleet, "reads", file_of, "API_KEY", secrets=["API_KEY"]) == f"600 {VALUE}\n"
    assert once(fleet, "blind", variable, "API_KEY") == ""
    assert once(fleet, "other_variables", variable, "MODEL", environment=Environment(env={"X": "y"})) == ""


def test_other_interpreters_find_them_nowhere(fleet, folder):
    secrets, pid = once(fleet, "where", where, "UDFLEET_SECRETS_DIR", secrets=["API_KEY"]).split()
    assert Path(secrets, "API_KEY").read_text() == VALUE + "\n"
    fleet.register_function("reader", read)
    for path in (f"{secrets}/API_KEY", str(folder / "API_KEY"), f"/proc/{pid}/environ"):
        assert fleet.call("reader", [path]).to_pylist() == ["PermissionError"], path


def test_one_that_is_missing_is_named_and_serves_once_it_is_there(fleet, folder):
    with pytest.raises(udfleet.UdfleetError, match="needs the secret LATER_KEY; the fleet offers API_KEY") as refused:
        fleet.register_function("missing", variable, secrets=["LATER_KEY"])
    assert refused.value.code == "INFEASIBLE" and "--secrets-dir" in str(refused.value)
    (folder / "LATER_KEY").write_text("plain file")
    eventually("the executor has seen it", lambda: registers(fleet, "missing", ["LATER_KEY"]))
    assert fleet.call("missing", ["LATER_KEY"]).to_pylist() == ["plain file"]
    # A function that is registered goes nowhere without it, and says why.
    (folder / "LATER_KEY").unlink()
    eventually("it is unplaced", lambda: "needs the secret LATER_KEY" in fleet.function("missing").reason)
    told = run_cli(fleet, "status")
    assert "needs the secret LATER_KEY" in told.stdout + told.stderr
    (folder / "LATER_KEY").write_text("again")
    eventually("it serves again", lambda: fleet.function("missing").state == "READY")
    assert fleet.call("missing", ["LATER_KEY"]).to_pylist() == ["again"]
    (folder / "LATER_KEY").unlink()


def test_a_changed_file_reaches_new_interpreters(fleet, folder):
    environment = Environment(env={"OF": "this test"}, secrets=["API_KEY"])
    fleet.register_function("ends", ends, environment=environment)
    assert once(fleet, "changes", variable, "API_KEY", environment=environment) == VALUE
    put(folder, 2, API_KEY="another-value")
    try:
        assert fleet.call("changes", ["API_KEY"]).to_pylist() == [VALUE], "an interpreter that runs keeps what it has"
        with pytest.raises(udfleet.UdfleetError):
            fleet.call("ends", ["x"])
        assert fleet.call("changes", ["API_KEY"]).to_pylist() == ["another-value"]
    finally:
        put(folder, 3, API_KEY=VALUE + "\n")


def test_names_that_cant_be_variables_are_refused(fleet):
    for wrong in (["LD_PRELOAD"], ["UDFLEET_TOKEN"], ["a-b"], "API_KEY", [3]):
        with pytest.raises(udfleet.UdfleetError):
            fleet.register_function("wrong", variable, secrets=wrong)
    with pytest.raises(udfleet.UdfleetError, match="PATH"):
        fleet.register_function("wrong", variable, environment=Environment(env={"PATH": "/tmp"}))


def test_the_command_line_names_them(fleet, tmp_path):
    module = tmp_path / "of_secrets.py"
    module.write_text(
        "import os\nfrom udfleet import udf\n\n@udf(result_type='STRING')\n"
        "def shows(name: str) -> str:\n    return os.environ.get(name, '')\n"
    )
    run_cli(fleet, "register", str(module), "--env", "MODEL=small", "--secret", "API_KEY")
    for name, value in {"MODEL": "small", "API_KEY": VALUE}.items():
        assert fleet.call("shows", [name]).to_pylist() == [value]


def test_values_given_at_the_start():
    with udfleet.local(executors=1, interpreters=1, secrets={"GIVEN": "at-the-start"}) as fleet:
        assert once(fleet, "given", variable, "GIVEN", secrets=["GIVEN"]) == "at-the-start"


@udf(result_type=DataTypes.STRING())
def prints_all(name: str) -> str:
    for number in range(16):
        os.write(1, os.environ[f"LARGE_{number}"].encode() + b"\n")
    # Without a line end, and of what one of the values repeats: each piece may be the beginning of that value.
    for _ in range(200):
        os.write(2, b"=" * 1000)
    os.write(2, b"\nall is printed\n")
    return str(sum(len(os.environ[f"LARGE_{number}"]) for number in range(16)))


def test_as_many_large_ones_as_one_function_may_have():
    size = (64 << 10) - 16
    values = {f"LARGE_{number}": (f"{number:04}-of-all-" * size)[:size] for number in range(15)}
    values["LARGE_15"] = "=" * (size // 2) + "!" + "=" * (size // 2 - 1)
    with udfleet.local(executors=1, interpreters=1, secrets=values) as fleet:
        assert once(fleet, "prints_all", prints_all, "x", secrets=list(values)) == str(16 * size)

        def printed() -> str:
            text = "".join(line.text for line in fleet.logs("prints_all"))
            return text if "all is printed" in text and text.count("***") >= 16 else ""

        text = eventually("all of it is masked", printed)
        assert "of-all-" not in text and "!" not in text
