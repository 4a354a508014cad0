"""The example of docs/state.md: it is killed, an executor is killed, and each payment is scored once all the same."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import udfleet

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def expected() -> list[tuple[int, str, float]]:
    """Scores by a loop over dicts."""
    sys.path.insert(0, str(EXAMPLES))
    import card_fraud

    cards: dict[str, dict[str, Any]] = defaultdict(lambda: {"count": 0, "mean": 0.0, "countries": set()})
    scores = []
    for number in range(card_fraud.PAYMENTS):
        _, card, minute, amount, country = card_fraud.payment(number)
        seen, score = cards[card], 0.0
        if seen["count"]:
            score += min(1.0, amount / seen["mean"] / 10)
            score += country not in seen["countries"]
            score += minute - seen["minute"] < 2
        seen["count"] += 1
        seen["mean"] += (amount - seen["mean"]) / seen["count"]
        seen["minute"] = minute
        seen["countries"].add(country)
        scores.append((number, card, score))
    return scores


def test_each_payment_is_scored_once_whoever_dies(files_of_tests: None, tmp_path: Path) -> None:
    with udfleet.local(executors=2, interpreters=1) as fleet:
        environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token}
        command = [sys.executable, str(EXAMPLES / "card_fraud.py"), str(tmp_path / "scores.db")]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            for line in first.stdout:
                if line == "committed 500\n":
                    break
            first.kill()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            begun = second.stdout.readline().split()
            assert begun[:2] == ["going", "on"]
            assert int(begun[-1]) >= 500
            for line in second.stdout:
                if line.startswith("committed") and int(line.split()[1]) >= 1_000:
                    os.kill(fleet.pids["executor-0" if "executor-0" in fleet.pids else "executor-1"], signal.SIGKILL)
                    break
            rest = second.stdout.read()
            assert second.wait(timeout=120) == 0
        assert rest.splitlines()[-1] == "committed 2000"
    with sqlite3.connect(tmp_path / "scores.db") as scores:
        found = scores.execute("SELECT payment, card, score FROM scores ORDER BY payment").fetchall()
    scores.close()
    assert found == expected()
