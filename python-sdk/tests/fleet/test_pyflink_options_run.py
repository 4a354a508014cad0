"""What PyFlink's options do to functions that run, and what functions without types are given."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, failure_of

import udfleet
from udfleet import Environment, udf

ASYNC = "table.exec.async-scalar."


class FailsTwice(udfleet.AsyncScalarFunction):
    def open(self, function_context):
        self.tries = 0

    async def eval(self, a):
        self.tries += 1
        if self.tries <= 2:
            raise ConnectionError("try again")
        return self.tries


def test_rows_are_tried_again_after_the_delay(fleet):
    config = {f"{ASYNC}retry-strategy": "FIXED_DELAY", f"{ASYNC}max-attempts": 2, f"{ASYNC}retry-delay": "200 ms"}
    fleet.register_function("option_retries", udf(FailsTwice(), BIGINT, BIGINT), config=config)
    began = time.monotonic()
    assert fleet.call("option_retries", [1]).to_pylist() == [3]
    assert time.monotonic() - began >= 0.4
    fleet.register_function("option_retries", udf(FailsTwice(), BIGINT, BIGINT), config={f"{ASYNC}max-attempts": 1})
    assert failure_of(udfleet.UserCodeError, fleet.call, "option_retries", [1]).exception.type == "ConnectionError"


def test_the_time_of_a_row_counts_for_all_attempts(fleet):
    async def never(a):
        raise ConnectionError("try again")

    config = {f"{ASYNC}timeout": "300 ms", f"{ASYNC}max-attempts": 100, f"{ASYNC}retry-delay": "1 h"}
    fleet.register_function("option_timeout", udf(never, BIGINT, BIGINT), config=config)
    error = failure_of(udfleet.UserCodeError, fleet.call, "option_timeout", [1])
    assert error.exception.type == "TimeoutError"


def test_pandas_functions_see_no_more_rows_than_a_bundle(fleet):
    sizes = udf(lambda column: column * 0 + len(column), BIGINT, BIGINT, func_type="pandas")
    fleet.register_function("option_bundle", sizes, config={"python.fn-execution.bundle.size": 3})
    assert fleet.call("option_bundle", list(range(7))).to_pylist() == [3, 3, 3, 3, 3, 3, 1]


def test_of_files_of_one_name_the_last_is_found(fleet, tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "option_module.py").write_text(f"NAME = {folder!r}\n")
    files = [str(tmp_path / folder / "option_module.py") for folder in ("first", "second")]

    def name(a):
        from option_module import NAME

        return NAME

    fleet.register_function("option_files", udf(name, BIGINT, STRING), config={"python.files": ",".join(files)})
    assert fleet.call("option_files", [1]).to_pylist() == ["second"]
    fleet.register_function("option_files", udf(name, BIGINT, STRING), Environment(files=files))
    assert fleet.call("option_files", [1]).to_pylist() == ["first"]


@pytest.mark.parametrize(
    ("column", "seen"),
    [
        (pa.array([3_000], pa.duration("ns")), "datetime.timedelta(microseconds=3)"),
        (pa.array([-1], pa.duration("s")), "datetime.timedelta(days=-1, seconds=86399)"),
        (pa.array([(14, 0, 0)], pa.month_day_nano_interval()), "14"),
        (pa.array([3_001], pa.duration("ns")), None),
        (pa.array([-1], pa.duration("ns")), None),
        (pa.array([(14, 1, 0)], pa.month_day_nano_interval()), None),
        (pa.array([(14, 0, 1)], pa.month_day_nano_interval()), None),
    ],
)
def test_functions_without_types_get_intervals_whole_or_not_at_all(fleet, column, seen):
    function = udf(lambda a: repr(a), result_type=STRING, name="option_untyped")
    if seen is None:
        failure_of(udfleet.InvalidInputError, fleet.call, function, column)
    else:
        assert fleet.call(function, column).to_pylist() == [seen]
