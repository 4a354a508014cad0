"""`udfleet logs --follow`: executors that come and go while it runs, and how it ends."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading

import pytest
from fleet_support import BIGINT, STRING, client_process, eventually, second_executor

import udfleet
from udfleet import udf


def talks(word):
    print("said", word)
    return len(word)


@pytest.fixture(scope="module")
def single():
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("talks", udf(talks, STRING, BIGINT))
        yield fleet


@contextlib.contextmanager
def follower(fleet):
    """The running command, and the lines that it has printed so far."""
    command = [sys.executable, "-m", "udfleet", "logs", "talks", "--follow"]
    with client_process(fleet, command, stderr=subprocess.PIPE) as running:
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(running.stdout.readline, "")))
        reader.start()
        try:
            yield running, lines
        finally:
            running.kill()
            reader.join()


def serves(fleet, executor):
    return any(e.executor == executor and e.state == "READY" for e in fleet.function("talks").executors)


def say(fleet, word, executor):
    """Calls until the executor named has been given a call."""
    before = fleet.progress("talks").executors.get(executor)
    before = before.calls if before else 0

    def called():
        fleet.call("talks", [word])
        now = fleet.progress("talks").executors.get(executor)
        return now is not None and now.calls > before

    eventually(f"{executor} is called", called)


def test_executors_that_attach_later_and_again(single, tmp_path):
    with follower(single) as (_, lines):
        say(single, "first", "executor-1")
        eventually("lines of the first", lambda: [line for line in lines if "executor-1" in line])
        for word in ("second", "third"):
            with second_executor(single, tmp_path / "second"):
                eventually("the second serves", lambda: serves(single, "second"))
                say(single, word, "second")
                wanted = f" second talks@1 stdout | said {word}\n"
                eventually("its lines", lambda wanted=wanted: [line for line in lines if line.endswith(wanted)])
            eventually("the second is lost", lambda: not serves(single, "second"))
        say(single, "last", "executor-1")
        eventually("the first goes on", lambda: [line for line in lines if line.endswith("said last\n")])
    told = [line for line in lines if " said first" in line]
    assert len(told) == len(set(told)), "nothing comes twice"


def test_interrupted(single):
    with follower(single) as (running, lines):
        say(single, "word", "executor-1")
        eventually("it follows", lambda: lines)
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert running.stderr.read().strip() == "interrupted"
