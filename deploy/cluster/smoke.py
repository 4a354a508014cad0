"""The smoke test: a stream, a registration and the flights job outlive whatever is killed, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from . import engine, fleet
from .engine import docker
from .shell import fail, say, wait_for

BATCHES, ROWS = 400, 200
_EXECUTORS = ["executor-1", "executor-2", "executor-3"]
_SERVICES = [*_EXECUTORS, "coordinator-1", "coordinator-2", "etcd-1", "etcd-2", "etcd-3"]
KILLS = {100: "coordinator-1", 250: "executor-1"}


def test() -> int:
    """0 where all held."""
    started = time.monotonic()
    try:
        fleet.up()
        _stream()
        _returned()
        _flights()
        _no_zombies()
    finally:
        fleet.down()
    left = _left()
    if left:
        fail(f"left behind: {', '.join(left)}", "the engine's log is in target/cluster/docker")
    say(f"the smoke test has passed in {time.monotonic() - started:.0f} s")
    return 0


def _stream() -> None:
    """Batches through the coordinators, while processes are killed from the host."""
    import pyarrow as pa

    import udfleet
    from udfleet import DataTypes, udf

    def slow_double(value: int) -> int:
        import time

        time.sleep(0.0001)
        return 2 * value

    with udfleet.connect(fleet.address(), fleet.token(), direct=False) as client:
        client.register_function("double", udf(slow_double, DataTypes.BIGINT(), DataTypes.BIGINT()))
        say(f"streaming {BATCHES} batches; {' and '.join(KILLS.values())} will be killed meanwhile")
        got: list[int] = []
        batches = (pa.record_batch({"a": range(n * ROWS, (n + 1) * ROWS)}) for n in range(BATCHES))
        for number, answer in enumerate(client.stream("double", batches)):
            got += answer.column(0).to_pylist()
            if number in KILLS:
                _kill(KILLS[number])
        if got != [2 * value for value in range(BATCHES * ROWS)]:
            fail(f"{len(got)} results, not {BATCHES * ROWS} in order", "a stream lost rows, or has some twice")
        say("all results have come, once each and in order")
        client.register_function("again", udf(lambda a: a + 1, DataTypes.BIGINT(), DataTypes.BIGINT()))
        if client.call("again", [1]).to_pylist() != [2]:
            fail("a function that was registered after the kills gives a wrong result", "see the containers' logs")


def _flights() -> None:
    """The flights job, again and again, until each container has been killed under it."""
    say(f"running the flights job, while these are killed, one after the other: {', '.join(_SERVICES)}")
    ended = threading.Event()

    def runs() -> int:
        count = 0
        while not ended.is_set():
            fleet.job(quiet=True)
            count += 1
        return count

    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(runs)
        try:
            for service in _SERVICES:
                _kill(service)
                _returned()
                if job.done():
                    break
        finally:
            ended.set()
        say(f"the flights job gave what pandas gives, {job.result()} times")


def _kill(service: str) -> None:
    """SIGKILL from the host: what Compose kills counts as stopped, and nobody starts it again."""
    container = fleet.compose("ps", "-q", service).strip()
    pid = _process(container)
    os.kill(pid, signal.SIGKILL)
    wait_for(f"{service} is started again", 60, lambda: _process(container) not in (0, pid))
    say(f"{service} was killed (process {pid}), and is started again")


def _process(container: str) -> int:
    """The first of a container; 0 where it does not run."""
    return int(docker("inspect", "-f", "{{.State.Pid}}", container).stdout)


def _returned() -> None:
    """All serve again."""
    wait_for("all executors are back", 60, lambda: all(fleet.ready(http) == fleet.EXECUTORS for http in fleet.HTTP))
    say("what was killed is back")


def _no_zombies() -> None:
    """What functions start and leave behind comes to the first process of a container, which waits for it."""
    import udfleet
    from udfleet import DataTypes, udf

    def leaves_a_child(value: int) -> int:
        import subprocess

        subprocess.run(["sh", "-c", "sleep 0.1 &"], check=True)
        return value

    with udfleet.connect(fleet.address(), fleet.token(), direct=False) as client:
        client.register_function("leaves_a_child", udf(leaves_a_child, DataTypes.BIGINT(), DataTypes.BIGINT()))
        client.call("leaves_a_child", list(range(20)))
    wait_for("nothing is left of what functions started", 30, lambda: not any(map(_zombies, _EXECUTORS)))


def _zombies(service: str) -> int:
    count = "sum(open(p).read().rpartition(chr(41))[2].split()[0] == chr(90) for p in glob.glob('/proc/[0-9]*/stat'))"
    script = f"import glob; print({count})"
    return int(fleet.compose("exec", "-T", service, "python3", "-c", script))


def _left() -> list[str]:
    """Containers, volumes and networks of the fleet; the engine, where it was started here."""
    if not engine.runs():
        return []
    label = f"label=com.docker.compose.project={fleet.PROJECT}"
    found = [docker(kind, "ls", "-q", "--filter", label, *extra).stdout.split() for kind, extra in _KINDS]
    return [name for names in found for name in names]


_KINDS = (("container", ["--all"]), ("volume", []), ("network", []))
