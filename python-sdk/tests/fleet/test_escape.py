"""What functions must not be able to do to the executor, to other functions and to the machine, and what they still can."""

from __future__ import annotations

import os
import socket
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import STRING, alive, descendants, program_of

import udfleet
from udfleet import udf

SECRET = "a-secret-of-the-executors-environment"


@udf(input_types=[STRING], result_type=STRING)
def attempt(code: str) -> str:
    """Runs code; says what it left in `result`, or how it failed."""
    names: dict[str, object] = {}
    try:
        exec(code, names)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return f"did it: {names.get('result')!r}"


@pytest.fixture(scope="module")
def private() -> Iterator[udfleet.LocalFleet]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UDFLEET_EXECUTOR_SANDBOX_WRITE", raising=False)
        patch.setenv("EXECUTOR_SECRET", SECRET)
        with udfleet.local(executors=1, interpreters=1) as fleet:
            fleet.register_function("attempt", attempt)
            fleet.register_function("other", attempt, config={"udfleet.memory.limit": "1g"})
            yield fleet


def told(fleet: udfleet.LocalFleet, code: str) -> str:
    """What comes of some code in an interpreter, which is healthy afterwards, as its executor is."""
    answer = str(fleet.call("attempt", [textwrap.dedent(code)]).to_pylist()[0])
    assert fleet.call("attempt", ["result = 1"]).to_pylist() == ["did it: 1"]
    return answer


def refused(fleet: udfleet.LocalFleet, code: str) -> None:
    answer = told(fleet, code)
    assert answer.startswith(("PermissionError", "OSError")), answer


def executor_folder(fleet: udfleet.LocalFleet) -> Path:
    arguments = Path(f"/proc/{fleet.pids['executor-1']}/cmdline").read_text().split("\0")
    return Path(arguments[arguments.index("--work-dir") + 1])


@pytest.mark.parametrize("entry", ["environ", "cmdline", "maps", "mem", "fd", "status", "cwd/anything"])
@pytest.mark.parametrize("process", ["executor-1", "coordinator"])
def test_processes_of_the_fleet_are_closed(private: udfleet.LocalFleet, process: str, entry: str) -> None:
    path = f"/proc/{private.pids[process]}/{entry}"
    refused(
        private, f"import os; result = (os.listdir if {entry == 'fd'} else lambda p: open(p, 'rb').read(9))({path!r})"
    )


def test_no_secret_comes_along(private: udfleet.LocalFleet) -> None:
    assert private.token is not None
    seen = told(private, "import os, sys; result = dict(os.environ), open('/proc/self/environ').read(), sys.orig_argv")
    assert (
        seen.startswith("did it") and SECRET not in seen and private.token not in seen and "UDFLEET_TOKEN" not in seen
    )


def test_descriptors_are_its_own(private: udfleet.LocalFleet) -> None:
    answer = told(
        private,
        """
        import os
        kinds = set()
        for number in os.listdir("/proc/self/fd"):
            try:
                kinds.add(os.readlink(f"/proc/self/fd/{number}").split(":")[0])
            except OSError:
                pass
        result = sorted(kinds)
        """,
    )
    known = {"pipe", "socket", "/dev/null", "/memfd", "anon_inode"}
    kinds = set(eval(answer.removeprefix("did it: ")))
    assert {kind for kind in kinds if not kind.startswith(tuple(known)) and "/proc/" not in kind} == set(), kinds


def test_the_executors_files_are_closed(private: udfleet.LocalFleet) -> None:
    work = executor_folder(private)
    for path in (
        work,
        work / "artifacts",
        work.parent,
        work.parent / "token",
        work.parent / "data",
        Path.home(),
        Path("/"),
    ):
        assert path.exists()
        look = "os.listdir" if path.is_dir() else "open"
        refused(private, f"import os; result = {look}({str(path)!r})")


def test_what_is_shared_is_read_only(private: udfleet.LocalFleet) -> None:
    for place in (
        "udfleet.__path__[0]",
        "sys.prefix",
        "sysconfig.get_path('purelib')",
        "sys.base_prefix",
        "'/usr/lib'",
    ):
        imports = "import sys, sysconfig, os, udfleet\n"
        refused(private, f"{imports}result = open(os.path.join({place}, 'planted.pth'), 'w')")
        refused(private, f"{imports}result = os.mkdir(os.path.join({place}, '__pycache__x'))")
    refused(private, "import udfleet; result = open(udfleet.__file__, 'a')")
    # What was registered is read, and not changed.
    refused(private, "import glob; result = open(glob.glob('../functions/*')[0], 'a')")


@pytest.mark.parametrize("process", ["executor-1", "coordinator", "tests"])
def test_signals_reach_nobody_else(private: udfleet.LocalFleet, process: str) -> None:
    pid = os.getpid() if process == "tests" else private.pids[process]
    refused(private, f"import os; result = os.kill({pid}, 0)")


def test_other_interpreters_are_out_of_reach(private: udfleet.LocalFleet) -> None:
    executor = private.pids["executor-1"]
    found = [pid for pid in descendants(executor) if alive(pid) and "interpreter" in program_of(pid)]
    own = int(told(private, "import os; result = os.getpid()").removeprefix("did it: "))
    for pid in {*found, executor} - {own}:
        refused(private, f"import os; result = os.kill({pid}, 0)")
        refused(private, f"result = open('/proc/{pid}/mem', 'rb')")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ptrace", "16, {executor}, 0, 0"),
        ("process_vm_readv", "{executor}, 0, 0, 0, 0, 0"),
        ("unshare", "0x10000000"),
        ("mount", "b'none', b'/', b'tmpfs', 0, 0"),
        ("setns", "0, 0"),
        ("chroot", "b'/'"),
    ],
)
def test_system_calls_that_reach_out_are_refused(private: udfleet.LocalFleet, name: str, arguments: str) -> None:
    given = arguments.format(executor=private.pids["executor-1"])
    call = f"ctypes.CDLL(None, use_errno=True).{name}({given})"
    answer = told(private, f"import ctypes; result = ({call}, ctypes.get_errno())")
    assert answer == "did it: (-1, 1)"


def test_rights_are_gone(private: udfleet.LocalFleet) -> None:
    status = told(private, "result = dict(l.split(':\\t', 1) for l in open('/proc/self/status').read().splitlines())")
    found = eval(status.removeprefix("did it: "))
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert {int(found[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {0}


def test_rare_socket_families_are_refused(private: udfleet.LocalFleet) -> None:
    for family in (socket.AF_PACKET, socket.AF_ALG, socket.AF_VSOCK):
        refused(private, f"import socket; result = socket.socket({int(family)}, socket.SOCK_RAW)")


def test_children_are_contained_too(private: udfleet.LocalFleet) -> None:
    executor = private.pids["executor-1"]
    answer = told(
        private,
        f"""
        import subprocess
        commands = ["cat /proc/{executor}/environ", "kill -0 {executor}", "ls /", "touch /usr/planted"]
        result = [subprocess.run(["sh", "-c", command], capture_output=True).returncode != 0 for command in commands]
        """,
    )
    assert answer == "did it: [True, True, True, True]"


@pytest.mark.parametrize(
    "code",
    [
        "open('notes.txt', 'w').write('x'); result = open('notes.txt').read() == 'x'",
        "import tempfile; f = tempfile.NamedTemporaryFile(); result = f.write(b'x') == 1",
        "import subprocess; result = subprocess.run(['ls', '-l', '.']).returncode == 0",
        "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: result = p.map(abs, [-1, 2]) == [1, 2]",
        "from multiprocessing.shared_memory import SharedMemory as S\n"
        "s = S(create=True, size=9); s.buf[0] = 1; s.close(); s.unlink(); result = True",
        "import ssl; result = ssl.create_default_context() is not None",
        "import socket; result = socket.getaddrinfo('localhost', 80) != []",
        "import zoneinfo; result = str(zoneinfo.ZoneInfo('Europe/Berlin')) == 'Europe/Berlin'",
        "import os; result = os.memfd_create('x') > 2",
        "import threading; t = threading.Thread(target=print); t.start(); t.join(); result = True",
        "import os; result = os.cpu_count() > 0 and os.path.expanduser('~') == os.environ['TMPDIR']",
    ],
)
def test_ordinary_life_goes_on(private: udfleet.LocalFleet, code: str) -> None:
    assert told(private, code) == "did it: True"
