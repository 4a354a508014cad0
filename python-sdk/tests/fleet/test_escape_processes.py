"""What functions start is contained, counted, and ends with its interpreter, however it tries to get away."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fleet_support import STRING, alive, descendants, eventually, failure_of
from test_escape import attempt, executor_folder

import udfleet
from udfleet import udf

MIB = 1 << 20

# Each starts a process that would live for ever, and gives its number.
WAYS = {
    "child": "child = subprocess.Popen([sys.executable, '-c', LIVE])",
    "new session": "child = subprocess.Popen([sys.executable, '-c', LIVE], start_new_session=True)",
    "new group": "child = subprocess.Popen([sys.executable, '-c', LIVE], preexec_fn=os.setpgrp)",
    "in the background": "child = background(f'{sys.executable} -c \"{LIVE}\" > /dev/null & echo $!')",
    "daemon": "child = background(f'setsid {sys.executable} -c \"{LIVE}\" > /dev/null & echo $!')",
    "grandchild": "child = subprocess.Popen([sys.executable, '-c', "
    "f'import subprocess, sys; subprocess.run([sys.executable, \"-c\", {LIVE!r}])'], start_new_session=True)",
}

PRELUDE = """
import ctypes, os, signal, subprocess, sys
LIVE = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(600)"

class background:
    def __init__(self, command):
        self.pid = int(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE).stdout)

"""


def told(fleet: udfleet.LocalFleet, function: str, code: str) -> str:
    answer = str(fleet.call(function, [PRELUDE + textwrap.dedent(code)]).to_pylist()[0])
    assert answer.startswith("did it: "), answer
    return answer.removeprefix("did it: ")


def start(fleet: udfleet.LocalFleet, way: str) -> tuple[int, set[int]]:
    """The interpreter, and what it has started."""
    interpreter, child = eval(told(fleet, "attempt", f"{WAYS[way]}\nresult = (os.getpid(), child.pid)"))
    if way == "grandchild":
        eventually("it has started its own", lambda: descendants(child))
    return interpreter, {child, *descendants(child)}


@pytest.fixture
def fleet() -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("attempt", attempt)
        yield fleet


@pytest.mark.parametrize("way", WAYS)
def test_nothing_outlives_its_interpreter(fleet: udfleet.LocalFleet, way: str) -> None:
    interpreter, started = start(fleet, way)
    os.kill(interpreter, signal.SIGKILL)
    eventually("what it started has ended", lambda: not any(map(alive, started)))
    assert told(fleet, "attempt", "result = 1") == "1"


@pytest.mark.parametrize("way", WAYS)
def test_nothing_outlives_a_killed_executor(fleet: udfleet.LocalFleet, way: str) -> None:
    interpreter, started = start(fleet, way)
    if way == "daemon":
        # Its parent has ended and its session is its own: it is the executor that ends it, at its next look.
        eventually("the executor has ended it", lambda: not any(map(alive, started)))
    os.kill(fleet.pids["executor-1"], signal.SIGKILL)
    eventually("all has ended", lambda: not any(map(alive, {interpreter, *started})))


def test_an_interpreter_that_ignores_the_end_of_its_executor_ends_too(fleet: udfleet.LocalFleet) -> None:
    code = """
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    child = subprocess.Popen([sys.executable, "-c", LIVE], start_new_session=True)
    result = (os.getpid(), child.pid)
    """
    interpreter, child = eval(told(fleet, "attempt", code))
    os.kill(fleet.pids["executor-1"], signal.SIGKILL)
    eventually("both have ended", lambda: not alive(interpreter) and not alive(child))


def test_a_process_that_detaches_itself_is_ended_at_once_and_others_are_not(fleet: udfleet.LocalFleet) -> None:
    _, stays = start(fleet, "in the background")
    _, (daemon,) = start(fleet, "daemon")
    eventually("it has ended", lambda: not Path(f"/proc/{daemon}").exists())
    assert all(map(alive, stays))


def test_what_has_ended_is_waited_for(fleet: udfleet.LocalFleet) -> None:
    executor = fleet.pids["executor-1"]
    code = "result = [background('true > /dev/null & echo $!').pid for _ in range(50)]"
    started = eval(told(fleet, "attempt", code))
    eventually("none is left", lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
    assert alive(executor)


@pytest.mark.parametrize(
    "code",
    [
        "child = subprocess.Popen([sys.executable, '-c', 'x = bytearray(b\"x\" * (1 << 20)) * 400; import time; time.sleep(600)'])",
        "child = subprocess.Popen([sys.executable, '-c', 'x = bytearray(b\"x\" * (1 << 20)) * 400; import time; time.sleep(600)'], "
        "start_new_session=True)",
        "file = os.memfd_create('hoard')\nfor _ in range(400): os.write(file, b'x' * (1 << 20))",
    ],
    ids=["child", "new session", "memfd"],
)
def test_memory_beside_the_interpreter_counts(fleet: udfleet.LocalFleet, code: str) -> None:
    limit = {"udfleet.memory.limit": "300 MiB", "udfleet.retry.max-attempts": "1"}
    fleet.register_function("limited", attempt, config=limit)
    waits = f"{PRELUDE}{code}\nimport time; time.sleep(600)"
    error = failure_of(udfleet.MemoryExceededError, fleet.call, "limited", [waits])
    assert error.exit.memory_limit_bytes == 300 * MIB < error.exit.peak_rss_bytes
    assert told(fleet, "limited", "result = 1") == "1"


def test_forks_that_share_memory_count_once(fleet: udfleet.LocalFleet) -> None:
    limit = {"udfleet.memory.limit": "600 MiB", "udfleet.retry.max-attempts": "1"}
    fleet.register_function("limited", attempt, config=limit)
    code = """
    held = bytearray(b"x" * (1 << 20)) * 250
    # Each has some of its own, so that it shows when they have been counted.
    children = []
    for _ in range(5):
        if (pid := os.fork()) == 0:
            own = bytearray(b"x" * (1 << 20)) * 20
            signal.pause()
        children.append(pid)
    open("forked", "w").close()
    while not os.path.exists("counted"):
        signal.sigtimedwait([], 0.01)
    result = [os.kill(pid, 9) for pid in children] and len(held) >> 20
    """
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(told, fleet, "limited", code)
        (marker,) = eventually("it has forked", lambda: list((executor_folder(fleet) / "tmp").glob("*/working/forked")))
        # With all that they share they would have more than twice of what is allowed.
        eventually("all are counted", lambda: fleet.executors()[0].rss_bytes > 340 * MIB or answer.done())
        marker.with_name("counted").touch()
        assert answer.result(60) == "250"


def test_processes_without_end_end_with_their_interpreter(fleet: udfleet.LocalFleet) -> None:
    code = """
    import time
    def bomb():
        while True:
            try:
                time.sleep(0.002)
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(600)
            except OSError:
                time.sleep(0.1)
    bomb()
    """
    executor = fleet.pids["executor-1"]
    fleet.register_function("bomb", attempt, config={"udfleet.retry.max-attempts": "1"})
    error = failure_of(udfleet.InterpreterCrashedError, fleet.call, "bomb", [PRELUDE + textwrap.dedent(code)])
    assert "512 processes" in str(error)
    eventually("all have ended", lambda: len(descendants(executor)) < 50)
    assert told(fleet, "attempt", "result = 1") == "1"


def test_the_kernels_choice_falls_on_interpreters_first(fleet: udfleet.LocalFleet) -> None:
    scores = eval(
        told(
            fleet,
            "attempt",
            "result = [int(open('/proc/self/oom_score_adj').read()), "
            "int(subprocess.run(['cat', '/proc/self/oom_score_adj'], capture_output=True).stdout or 500)]",
        )
    )
    executor = int(Path(f"/proc/{fleet.pids['executor-1']}/oom_score_adj").read_text())
    assert min(scores) >= executor + 500


CGROUP = Path("/sys/fs/cgroup/memory")


@pytest.mark.skipif(
    os.geteuid() != 0 or not (CGROUP / "memory.limit_in_bytes").exists(), reason="needs root and cgroup v1's memory"
)
def test_an_interpreter_that_the_kernel_kills_for_memory_is_told_so(fleet: udfleet.LocalFleet) -> None:
    function = udf(_hoard, [STRING], STRING)
    config = {"python.fn-execution.memory.managed": "false", "udfleet.retry.max-attempts": "1"}
    fleet.register_function("hoard", function, config=config)
    group = CGROUP / f"udfleet-test-{os.getpid()}"
    executor = fleet.pids["executor-1"]
    before = _group_of(executor)
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(1 << 30))
        for pid in [executor, *descendants(executor)]:
            (group / "cgroup.procs").write_text(str(pid))
        error = failure_of(udfleet.MemoryExceededError, fleet.call, "hoard", ["go"])
        assert error.exit.signal == signal.SIGKILL and error.exit.memory_limit_bytes == 0
        assert fleet.call("hoard", ["stay"]).to_pylist() == ["stayed"]
    finally:
        for pid in [executor, *descendants(executor)]:
            (CGROUP / before.lstrip("/") / "cgroup.procs").write_text(str(pid))
        eventually("all have left", lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def _hoard(what: str) -> str:
    held = []
    while what == "go":
        held.append(bytearray(b"x" * (1 << 20)) * 16)
    return "stayed"


def _group_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(path for _, controllers, path in (line.split(":", 2) for line in lines) if controllers == "memory")
