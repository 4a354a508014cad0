"""open and close, job parameters: what a function may rely on."""

from __future__ import annotations

from fleet_support import BIGINT, eventually, failure_of, lines_of

import udfleet
from udfleet import FunctionContext, ScalarFunction, udf


class Diary(ScalarFunction):
    """Writes down what happens to it, and in which process."""

    def __init__(self, path, fails_to_close=False):
        self.path = str(path)
        self.fails_to_close = fails_to_close

    def note(self, what):
        import os

        with open(self.path, "a") as file:
            file.write(f"{what} {os.getpid()}\n")

    def open(self, function_context: FunctionContext) -> None:
        self.note("open")
        self.greeting = function_context.get_job_parameter("greeting", "nothing")
        self.absent = function_context.get_job_parameter("absent", "the default")

    def eval(self, a):
        return f"{self.greeting}, {self.absent}"

    def close(self) -> None:
        self.note("close")
        if self.fails_to_close:
            raise RuntimeError("not now")


def noted(path, what):
    return sorted(int(line.split()[1]) for line in lines_of(path) if line.startswith(what))


def test_once_per_interpreter_and_closed_when_dropped(tmp_path):
    diary = tmp_path / "diary"
    # No more interpreters start, however busy other tests keep the machine.
    with udfleet.local(executors=2, interpreters=1, max_interpreters=1) as fleet:
        fleet.register_function("diary", udf(Diary(diary), BIGINT, "STRING"))
        opened = eventually("opened on both executors", lambda: len(o := noted(diary, "open")) == 2 and o)
        for _ in range(20):
            fleet.call("diary", [1, 2, 3])
        assert noted(diary, "open") == opened and len(set(opened)) == 2 and not noted(diary, "close")
        assert fleet.drop_function("diary") == ["diary@1"]
        eventually("closed where it was open", lambda: noted(diary, "close") == opened)
        failure_of(udfleet.FunctionNotFoundError, fleet.call, "diary", [1])


def test_closed_at_an_orderly_stop_and_parameters_arrive(tmp_path):
    """Two interpreters of one executor: each opens and closes, also where another function fails to."""
    diary, failing = tmp_path / "diary", tmp_path / "failing"
    with udfleet.local(executors=1, interpreters=2, job_parameters={"greeting": "hello"}) as fleet:
        fleet.register_function("failing", udf(Diary(failing, fails_to_close=True), BIGINT, "STRING"))
        fleet.register_function("diary", udf(Diary(diary), BIGINT, "STRING"))
        assert fleet.call("diary", [1]).to_pylist() == ["hello, the default"]
        opened = eventually("opened in both", lambda: len(o := noted(diary, "open")) == 2 and o)
    assert noted(diary, "close") == opened == noted(failing, "close")


def test_versions_live_side_by_side(fleet):
    for factor in (1, 2):
        view = fleet.register_function("scaled", udf(lambda a, by=factor: a * by * 10, BIGINT, BIGINT))
        assert view.version == factor
    assert [fleet.call(name, [1]).to_pylist() for name in ("scaled@1", "scaled@2", "scaled")] == [[10], [20], [20]]
    assert fleet.drop_function("scaled@2") == ["scaled@2"]
    eventually("the name means what is left", lambda: fleet.call("scaled", [1]).to_pylist() == [10])


def test_a_close_that_takes_long_keeps_other_functions_waiting_for_no_more_than_a_spare_takes(fleet, tmp_path):
    class Dawdles(ScalarFunction):
        def eval(self, a):
            return a

        def close(self) -> None:
            import os
            import time

            while not os.path.exists(gate):
                time.sleep(0.01)

    gate = str(tmp_path / "gate")
    fleet.register_function("neighbour", udf(lambda a: a + 1, BIGINT, BIGINT))
    fleet.register_function("dawdles", udf(Dawdles(), BIGINT, BIGINT))
    fleet.drop_function("dawdles")
    for _ in range(100):
        assert fleet.call("neighbour", [1]).to_pylist() == [2]
    with open(gate, "w"):
        pass
    assert fleet.call("neighbour", [1]).to_pylist() == [2]
    fleet.drop_function("neighbour")
