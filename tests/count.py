"""Adds up what the test runners counted and prints one closing line; exits 1 where something failed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)
NEXTEST = re.compile(r"^ *Summary \[ *[\d.]+s\] (.*)$", re.MULTILINE)
# `12/20 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 4 skipped`: what was to run and did not has not passed.
PLANNED = re.compile(r"^(\d+)(?:/(\d+))? tests? run: ")
OUTCOME = re.compile(r"(\d+) (passed|failed|timed out|exec failed|skipped)")
PYTEST = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


def count(text: str) -> dict[str, int]:
    """Passed, failed and skipped tests in a runner's output."""
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for passed, failed, ignored in CARGO.findall(text):
        total["passed"] += int(passed)
        total["failed"] += int(failed)
        total["skipped"] += int(ignored)
    for summary in NEXTEST.findall(text):
        for number, what in OUTCOME.findall(summary):
            total[what if what in ("passed", "skipped") else "failed"] += int(number)
        ran, planned = PLANNED.match(summary).groups()
        total["failed"] += int(planned or ran) - int(ran)
    for line in text.splitlines():
        if re.search(r" in [\d.]+s", line) and "finished in" not in line:
            for number, what in PYTEST.findall(line):
                key = what if what in ("passed", "skipped") else "failed"
                total[key] += int(number)
    return total


def main() -> int:
    """Reads the logs named on the command line."""
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for name in sys.argv[1:]:
        for key, number in count(Path(name).read_text()).items():
            total[key] += number
    print(", ".join(f"{number} {key}" for key, number in total.items()))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
