"""What a function learns in `open` of the interpreter that it runs in."""

from __future__ import annotations

import json
import os
import signal

from fleet_support import BIGINT, batches, eventually

import udfleet
from udfleet import FunctionContext, ScalarFunction, udf


class Whereabouts(ScalarFunction):
    def open(self, function_context: FunctionContext) -> None:
        self.found = {
            "task": function_context.get_task_name_with_subtasks(),
            "index": function_context.get_index_of_this_subtask(),
            "parallelism": function_context.get_number_of_parallel_subtasks(),
            "max_parallelism": function_context.get_max_number_of_parallel_subtasks(),
            "attempt": function_context.get_attempt_number(),
            "pid": os.getpid(),
        }

    def eval(self, a):
        return json.dumps(self.found)


def seen(fleet):
    """By the number of the interpreter, once both have answered: calls go to whichever is free."""
    answers = fleet.stream("whereabouts", batches(64, 1))
    found = {told["index"]: told for batch in answers for told in map(json.loads, batch.column(0).to_pylist())}
    return found if len(found) == 2 else None


def test_interpreters_have_numbers_and_count_their_attempts():
    with udfleet.local(executors=1, interpreters=2) as fleet:
        fleet.register_function("whereabouts", udf(Whereabouts(), BIGINT, "STRING"))
        both = eventually("both interpreters answer", lambda: seen(fleet))
        for index in (0, 1):
            assert both[index]["task"] == f"whereabouts@1 ({index + 1}/2)"
            assert (both[index]["parallelism"], both[index]["attempt"]) == (2, 0)
            assert both[index]["max_parallelism"] >= 2
        os.kill(both[1]["pid"], signal.SIGKILL)
        again = eventually("it has come back", lambda: (found := seen(fleet)) and found[1]["attempt"] == 1 and found)
        assert (again[0]["pid"], again[0]["attempt"]) == (both[0]["pid"], 0)
