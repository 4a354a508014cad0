"""The closing line of the test runs counts what each runner says."""

import runpy
from pathlib import Path

count = runpy.run_path(str(Path(__file__).parents[3] / "tests" / "count.py"))["count"]


def test_each_runner_is_counted():
    assert count("     Summary [   1.034s] 3 tests run: 3 passed (1 slow), 0 skipped\n") == {
        "passed": 3,
        "failed": 0,
        "skipped": 0,
    }
    log = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n5 passed, 1 skipped in 3.21s\n"
    assert count(log) == {"passed": 7, "failed": 0, "skipped": 2}


def test_what_hung_or_was_not_run_has_failed():
    log = "     Summary [ 300.1s] 12/20 tests run: 9 passed, 2 failed, 1 timed out, 4 skipped\n"
    assert count(log) == {"passed": 9, "failed": 2 + 1 + 8, "skipped": 4}
