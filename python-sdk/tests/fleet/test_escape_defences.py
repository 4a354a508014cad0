"""What each part of the containment holds off: the attacks of the escape tests work once that part is turned off, and not
before, so that these tests can fail."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from test_escape import attempt, executor_folder

import udfleet
from udfleet import Environment

# Of Landlock.
FILES_AND_SIGNALS = {
    "signals the executor": "import os; result = os.kill({executor}, 0)",
    "signals the coordinator": "import os; result = os.kill({coordinator}, 0)",
    "signals another interpreter": "import os; result = os.kill({other}, 0)",
    "reads the executor's command line": "result = open('/proc/{executor}/cmdline').read()",
    "reads another interpreter's memory": "result = open('/proc/{other}/mem', 'rb').close()",
    "reads another interpreter's environment": "result = open('/proc/{other}/environ', 'rb').read()",
    "lists another interpreter's descriptors": "import os; result = os.listdir('/proc/{other}/fd')",
    "reads the token": "result = open('{folder}/token').read()",
    "reads a certificate's key": "result = open('{key}').read()",
    "plants in uv's cache": "place = '{cache}/planted'; open(place, 'w').close(); import os; result = os.remove(place)",
    "opens another interpreter's regions": "import os; place = '/proc/{other}/fd/'\n"
    "regions = [n for n in os.listdir(place) if 'udfleet-region' in os.readlink(place + n)]\n"
    "result = [open(place + n, 'r+b').close() for n in regions] or 1 / 0",
    "lists artifacts": "import os; result = os.listdir('{work}/artifacts')",
    "lists other functions' folders": "import os; result = os.listdir('{work}/tmp')",
    "plants in the SDK": "import os, udfleet; place = udfleet.__path__[0] + '/planted.py'; "
    "open(place, 'w').close(); result = os.remove(place)",
    "plants in the environment": "import os, sys; place = sys.prefix + '/planted.pth'; "
    "open(place, 'w').close(); result = os.remove(place)",
    "changes what it was loaded from": "import glob; result = open(glob.glob('../functions/*')[0], 'a').close()",
    "lists a home": "import os; result = os.listdir('{home}')",
}

CALL = "import ctypes, os\nlibrary = ctypes.CDLL(None, use_errno=True)\n"
CHILD = """
import signal
ready, tell = os.pipe()
if (child := os.fork()) == 0:
    os.write(tell, b"x")
    signal.pause()
os.read(ready, 1)
"""
RESULT = """
error = ctypes.get_errno()
if child:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
if outcome < 0:
    raise OSError(error, os.strerror(error))
result = outcome
"""

# In a process with one thread.
NAMESPACE = """
import subprocess, sys
code = "import ctypes; raise SystemExit(ctypes.CDLL(None).unshare(0x10000000) != 0)"
if subprocess.run([sys.executable, "-c", code]).returncode != 0:
    raise PermissionError(code)
result = code
"""

# Of seccomp: what these do to a process of their own they would do to any that they reach.
SYSTEM_CALLS = {
    "makes a namespace": NAMESPACE,
    "traces a process": f"{CALL}{CHILD}outcome = library.ptrace(0x4206, child, 0, 0){RESULT}",
    "reads memory of a process": f"{CALL}{CHILD}outcome = library.process_vm_readv(child, 0, 0, 0, 0, 0){RESULT}",
    "compares descriptors of a process": f"{CALL}{CHILD}outcome = library.syscall(312, child, child, 0, 1, 1){RESULT}",
}


@contextmanager
def fleet_without(parts: str) -> Iterator[udfleet.LocalFleet]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UDFLEET_EXECUTOR_SANDBOX_WRITE", raising=False)
        patch.setenv("UDFLEET_EXECUTOR_SANDBOX_WITHOUT", parts)
        with udfleet.local(executors=1, interpreters=1) as fleet:
            fleet.register_function("attempt", attempt)
            fleet.register_function("other", attempt, Environment(env={"WHO": "other"}))
            yield fleet


@pytest.fixture(scope="module")
def contained() -> Iterator[udfleet.LocalFleet]:
    # One user for all: here the other parts are looked at.
    with fleet_without("users") as fleet:
        yield fleet


@pytest.fixture(scope="module")
def without_landlock() -> Iterator[udfleet.LocalFleet]:
    with fleet_without("users,landlock") as fleet:
        yield fleet


@pytest.fixture(scope="module")
def without_seccomp() -> Iterator[udfleet.LocalFleet]:
    with fleet_without("users,seccomp") as fleet:
        yield fleet


def told(fleet: udfleet.LocalFleet, code: str) -> str:
    other = fleet.call("other", ["import os; result = os.getpid()"]).to_pylist()[0].removeprefix("did it: ")
    work = executor_folder(fleet)
    (key := work.parent / "executor.key").write_text("a private key")
    (cache := work.parent / "cache").mkdir(exist_ok=True)
    places = {
        "key": key,
        "cache": cache,
        "executor": fleet.pids["executor-1"],
        "coordinator": fleet.pids["coordinator"],
        "other": other,
        "work": work,
        "folder": work.parent,
        "home": os.path.expanduser("~"),
    }
    for name, place in places.items():
        code = code.replace("{" + name + "}", str(place))
    answer = str(fleet.call("attempt", [textwrap.dedent(code)]).to_pylist()[0])
    assert fleet.call("attempt", ["result = 1"]).to_pylist() == ["did it: 1"]
    return answer


ATTACKS = {**FILES_AND_SIGNALS, **SYSTEM_CALLS}


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_held_off(contained: udfleet.LocalFleet, attack: str) -> None:
    assert told(contained, ATTACKS[attack]).startswith("PermissionError")


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_else_would_hold_it_off(request: pytest.FixtureRequest, attack: str) -> None:
    defence = "landlock" if attack in FILES_AND_SIGNALS else "seccomp"
    answer = told(request.getfixturevalue(f"without_{defence}"), ATTACKS[attack])
    assert answer.startswith("did it"), answer


def test_the_executors_own_memory_stays_closed_even_without(without_landlock: udfleet.LocalFleet) -> None:
    for entry in ("environ", "mem", "maps", "fd/0"):
        answer = told(without_landlock, f"result = open('/proc/{{executor}}/{entry}', 'rb').read(9)")
        assert answer.startswith("PermissionError"), (entry, answer)
