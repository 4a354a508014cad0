"""Rolling restarts: interpreters are replaced one after the other, calls go on, and new ones see changed secrets."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import run_cli

import udfleet
from udfleet import DataTypes, FunctionContext, ScalarFunction, udf


@pytest.fixture
def folder() -> Iterator[Path]:
    # Functions of the tests may read pytest's own folders.
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "KEY").write_text("old")
        yield Path(made)


@pytest.fixture
def fleet(folder) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=1, interpreters=2, max_interpreters=2, secrets=folder) as running:
        yield running


@udf(result_type=DataTypes.STRING(), deterministic=False)
def who(pause: float) -> str:
    time.sleep(pause)
    return f"{os.getpid()} {os.environ['KEY']}"


def interpreters(fleet) -> dict[str, str]:
    """The value that each interpreter sees, by its process."""
    seen: dict[str, str] = {}
    threads = [
        threading.Thread(
            target=lambda: seen.update(line.split() for line in fleet.call("who", [0.05]).to_pylist())  # type: ignore[misc]
        )
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def test_interpreters_are_replaced_while_calls_go_on(fleet, folder):
    fleet.register_function("who", who, secrets=["KEY"])
    before = interpreters(fleet)
    assert len(before) == 2 and set(before.values()) == {"old"}
    (folder / "KEY").write_text("new")
    stop, failures, calls = threading.Event(), [], []

    def call() -> None:
        while not stop.is_set():
            try:
                calls.extend(fleet.call("who", [0.01]).to_pylist())
            except Exception as error:
                failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    [done] = fleet.restart("who")
    stop.set()
    for caller in callers:
        caller.join()
    assert (done.executor, done.replaced, done.error) == ("executor-1", 2, None)
    assert not failures and calls
    after = interpreters(fleet)
    assert set(after.values()) == {"new"} and not set(before) & set(after)


def test_a_running_call_ends_first(fleet, folder):
    fleet.register_function("who", who, secrets=["KEY"], config={"udfleet.interpreters": 1})
    answers: list[str] = []
    running = threading.Thread(target=lambda: answers.extend(fleet.call("who", [3.0]).to_pylist()))
    running.start()
    while not fleet.executors()[0].in_flight:
        time.sleep(0.01)
    (folder / "KEY").write_text("new")
    told = run_cli(fleet, "restart", "who")
    running.join()
    assert "1 interpreter of" in told.stderr + told.stdout
    assert [answer.split()[1] for answer in answers] == ["old"]
    assert fleet.call("who", [0.0]).to_pylist()[0].split()[1] == "new"


def test_where_a_new_one_does_not_start_the_others_go_on(fleet, folder):
    fleet.register_function("who", who, secrets=["KEY"])
    assert len(interpreters(fleet)) == 2
    (folder / "KEY").write_text("x" * (65 << 10))
    [done] = fleet.restart("who")
    assert done.replaced == 1 and done.error is not None and "KEY" in str(done.error)
    assert set(interpreters(fleet).values()) == {"old"}
    assert run_cli(fleet, "restart", status=2).returncode == 2


class Client(ScalarFunction):
    """Opens a connection with its key, as far as this test can tell."""

    def open(self, context: FunctionContext) -> None:
        if os.environ["KEY"] == "revoked":
            raise PermissionError("this key is revoked")

    def is_deterministic(self) -> bool:
        return False

    def eval(self, pause: float) -> str:
        time.sleep(pause)
        return f"{os.getpid()} {os.environ['KEY']}"


def test_where_a_new_one_does_not_load_what_the_old_one_had_the_others_go_on(fleet, folder):
    fleet.register_function("who", udf(Client(), result_type=DataTypes.STRING()), secrets=["KEY"])
    assert len(interpreters(fleet)) == 2
    (folder / "KEY").write_text("revoked")
    [done] = fleet.restart("who")
    assert done.replaced == 1 and done.error is not None and "PermissionError" in str(done.error)
    assert set(interpreters(fleet).values()) == {"old"}


def test_only_interpreters_of_the_named_function_are_replaced(fleet):
    fleet.register_function("who", who, secrets=["KEY"])
    fleet.register_function("other", udf(lambda x: x, DataTypes.BIGINT(), DataTypes.BIGINT()))
    assert len(fleet.restart("other")) == 1 and len(fleet.restart()) == 2
    with pytest.raises(udfleet.UdfleetError) as unknown:
        fleet.restart("nobody")
    assert unknown.value.code == "FUNCTION_NOT_FOUND"
