"""A root executor's functions run as users of their own, one for each environment: this keeps them apart where all other
containment is turned off."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import alive, descendants
from test_escape import attempt, executor_folder

import udfleet
from udfleet import Environment
from udfleet._local import binaries

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes as other users")

BUILDS = 1_900_000_000
USERS = ("os.getuid", "os.geteuid", "os.getgid", "os.getegid")
SECRET = "a-secret-of-the-first-environment"


def fleet_without(parts: str) -> Iterator[udfleet.LocalFleet]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UDFLEET_EXECUTOR_SANDBOX_WRITE", raising=False)
        patch.setenv("UDFLEET_EXECUTOR_SANDBOX_WITHOUT", parts)
        # Pythons in root's home are left out then.
        patch.setenv("UDFLEET_EXECUTOR_SANDBOX_USERS", f"{BUILDS}-{BUILDS + 65_535}")
        with udfleet.local(executors=1, interpreters=1, secrets={"KEY": SECRET}) as fleet:
            fleet.register_function("first", attempt, Environment(secrets=["KEY"]))
            fleet.register_function("second", attempt, Environment(env={"WHO": "second"}))
            yield fleet


@pytest.fixture(scope="module")
def apart() -> Iterator[udfleet.LocalFleet]:
    yield from fleet_without("landlock,seccomp")


@pytest.fixture(scope="module")
def together() -> Iterator[udfleet.LocalFleet]:
    yield from fleet_without("landlock,seccomp,users")


def told(fleet: udfleet.LocalFleet, function: str, code: str) -> str:
    return str(fleet.call(function, [textwrap.dedent(code)]).to_pylist()[0])


def value(fleet: udfleet.LocalFleet, function: str, expression: str) -> str:
    answer = told(fleet, function, f"import os; result = {expression}")
    assert answer.startswith("did it: "), answer
    return str(eval(answer.removeprefix("did it: ")))


def place(fleet: udfleet.LocalFleet, folder: str) -> str:
    """A folder of the first environment's interpreter."""
    return value(fleet, "first", f"os.path.realpath(os.path.join(os.getcwd(), '..', {folder!r}))")


# Each is tried by the second environment on the first, and works as long as both are one user.
ATTACKS = {
    "signal": "import os; result = os.kill({pid}, 0)",
    "memory": "result = open('/proc/{pid}/mem', 'rb').close()",
    "variables": "result = {secret!r} in open('/proc/{pid}/environ').read() or 1 / 0",
    "descriptors": "import os; result = os.listdir('/proc/{pid}/fd')",
    "ptrace": "import ctypes; call = ctypes.CDLL(None, use_errno=True).ptrace(0x4206, {pid}, 0, 0)\n"
    "if call: raise PermissionError(ctypes.get_errno())",
    "secrets": "result = open('{secrets}/KEY').read()",
    "payload": "import os; result = os.listdir('{functions}')",
    "working folder": "result = open('{working}/planted', 'w').close()",
    "temporary files": "import os; result = os.listdir('{tmp}')",
}


def attack(fleet: udfleet.LocalFleet, name: str) -> str:
    places = {folder: place(fleet, folder) for folder in ("secrets", "functions", "working", "tmp")}
    code = ATTACKS[name].format(pid=value(fleet, "first", "os.getpid()"), secret=SECRET, **places)
    return told(fleet, "second", code)


@pytest.mark.parametrize("name", ATTACKS)
def test_one_environment_reaches_nothing_of_another(apart: udfleet.LocalFleet, name: str) -> None:
    answer = attack(apart, name)
    assert answer.startswith("PermissionError"), answer
    assert value(apart, "first", "1") == "1"


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_works_where_both_are_one_user(together: udfleet.LocalFleet, name: str) -> None:
    answer = attack(together, name)
    assert answer.startswith("did it"), answer


def test_each_environment_has_a_user_and_keeps_it(apart: udfleet.LocalFleet) -> None:
    def user(function: str) -> int:
        seen = {value(apart, function, f"{call}()") for call in USERS}
        assert len(seen) == 1 and value(apart, function, "os.getgroups()") == "[]"
        return int(seen.pop())

    first, second = user("first"), user("second")
    assert first != second and min(first, second) > BUILDS and max(first, second) <= BUILDS + 65_535
    os.kill(int(value(apart, "first", "os.getpid()")), 9)
    assert user("first") == first


def test_the_executor_is_out_of_reach_too(apart: udfleet.LocalFleet) -> None:
    work, process = executor_folder(apart), apart.pids["executor-1"]
    token, artifact = work.parent / "token", next((work / "artifacts").iterdir())
    for code in (
        f"import os; result = os.kill({process}, 0)",
        f"result = open('/proc/{process}/environ').read()",
        f"result = open({str(token)!r}).read()",
        f"import os; result = os.listdir({str(work.parent)!r})",
        f"result = open({str(artifact)!r}).read()",
        "import udfleet; result = open(udfleet.__file__, 'a')",
        "import sys; result = open(sys.prefix + '/planted', 'w')",
        "import os; result = os.setuid(0)",
    ):
        assert told(apart, "second", code).startswith("PermissionError"), code


def test_its_own_it_reads_and_writes(apart: udfleet.LocalFleet) -> None:
    assert value(apart, "first", "os.environ['KEY']") == SECRET
    assert value(apart, "first", "open(os.environ['UDFLEET_SECRETS_DIR'] + '/KEY').read()") == SECRET
    assert value(apart, "second", "open('notes', 'w').write('x')") == "1"
    assert value(apart, "second", "__import__('tempfile').TemporaryFile().write(b'x')") == "1"
    assert value(apart, "second", "open('/dev/stderr', 'w').write('x')") == "1"
    assert value(apart, "second", "len(open('/proc/self/environ').read()) > 0") == "True"


def test_builds_run_as_a_user_of_their_own_and_what_they_make_is_the_executors(apart: udfleet.LocalFleet) -> None:
    apart.register_function("built", attempt, Environment(requirements=["haversine==2.9.0"]))
    prefix = Path(value(apart, "built", "__import__('sys').prefix"))
    files = [path for path in prefix.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_uid for path in files} == {0}
    assert {oct(path.stat().st_mode & 0o7022) for path in files} == {"0o0"}
    assert value(apart, "built", "__import__('haversine').haversine((0, 0), (0, 0))") == "0.0"


def executor(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [binaries.find_folder() / "udfleet-executor", "--work-dir", folder / "work", *options]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("UDFLEET_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


@pytest.mark.parametrize(
    ("users", "says"),
    [("1-2000", "are taken"), ("0-5", "no range"), ("7", "no range"), ("9-7", "no range")],
)
def test_users_that_others_have_are_refused(tmp_path: Path, users: str, says: str) -> None:
    ended = executor(f"--sandbox-users={users}", folder=tmp_path)
    assert ended.returncode != 0 and says in ended.stderr


def test_folders_that_are_roots_alone_are_said(tmp_path: Path) -> None:
    (closed := tmp_path / "closed").mkdir(mode=0o700)
    ended = executor("--sandbox-users=1900000000-1900000009", folder=closed)
    assert ended.returncode != 0 and f"{closed / 'work' / 'tmp'} is for root only" in ended.stderr
    ended = executor("--require-sandbox", folder=tmp_path)
    assert ended.returncode != 0 and "require_sandbox" in ended.stderr and "users" in ended.stderr


def test_an_environment_that_finds_no_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UDFLEET_EXECUTOR_SANDBOX_WITHOUT", raising=False)
    monkeypatch.setenv("UDFLEET_EXECUTOR_SANDBOX_USERS", "1900100000-1900100001")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("one", attempt)
        held = [pid for pid in descendants(fleet.pids["executor-1"]) if alive(pid)]
        assert 1_900_100_001 in {Path(f"/proc/{pid}").stat().st_uid for pid in held}
        with pytest.raises(udfleet.UdfleetError, match="--sandbox-users"):
            fleet.register_function("two", attempt, Environment(env={"WHO": "two"}), timeout=20)
