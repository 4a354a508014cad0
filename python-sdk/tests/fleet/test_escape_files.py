"""What functions can't do to files of others: fill the disk with one, have another payload run, change a shared cache."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path
from typing import Any

import pytest
from fleet_support import STRING, eventually, failure_of
from test_escape import attempt, executor_folder

import udfleet
from udfleet import Environment, udf

HONEST = "honest-result-of-the-registered-function"
FORGED = "forged-result-of-the-registered-function"


def told(fleet: udfleet.LocalFleet, function: str, code: str) -> str:
    return str(fleet.call(function, [textwrap.dedent(code)]).to_pylist()[0])


def test_a_file_has_a_largest_size() -> None:
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("attempt", attempt)
        code = """
        import shutil
        with open("big", "wb") as file:
            result = file.truncate(max(shutil.disk_usage(".").free, 4 << 30))
        """
        answer = told(fleet, "attempt", code)
        assert answer.startswith("OSError") and "File too large" in answer
        assert told(fleet, "attempt", "result = open('small', 'wb').write(b'x')") == "did it: 1"
        limits = "import resource; result = resource.getrlimit(resource.RLIMIT_FSIZE)[1] >= 2 << 30"
        assert told(fleet, "attempt", limits) == "did it: True"


def test_open_files_have_a_bound_that_functions_can_not_raise() -> None:
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("attempt", attempt)
        raises = "import resource; result = resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))"
        assert told(fleet, "attempt", raises).startswith("ValueError")
        code = """
        import os
        held = []
        try:
            while True:
                held.append(os.dup(0))
        except OSError as error:
            result = (error.errno, len(held) <= 65_536)
        for file in held:
            os.close(file)
        """
        assert told(fleet, "attempt", code) == "did it: (24, True)"
        assert told(fleet, "attempt", "result = 1") == "did it: 1"


# Each keeps 64 MiB, one way or the other.
HOARDS = {
    "files": "for n in range(64): open(f'file-{n}', 'wb').write(bytes(1 << 20))",
    "temporary files": "import tempfile; held = [tempfile.NamedTemporaryFile(delete=False).write(bytes(1 << 20)) for _ in range(64)]",
    "deleted and open": "import tempfile\nheld = [tempfile.TemporaryFile(buffering=0) for _ in range(64)]\n"
    "for file in held: file.write(bytes(1 << 20))",
    "of a child": "import subprocess; subprocess.run(['sh', '-c', 'head -c 67108864 /dev/zero > file'], check=True)",
    "empty ones": "import os; os.makedirs('many'); [open(f'many/{n}', 'w').close() for n in range(10_000)]",
}


@pytest.mark.parametrize("how", HOARDS)
def test_what_it_keeps_on_the_disk_is_bounded_in_sum(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("UDFLEET_EXECUTOR_SANDBOX_DISK", "32MiB")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("attempt", attempt)
        assert told(fleet, "attempt", "result = open('small', 'wb').write(bytes(1 << 20))") == "did it: 1048576"
        before = folders(fleet)
        waits = f"{HOARDS[how]}\nimport time; time.sleep(600)"
        error = failure_of(udfleet.LimitExceededError, fleet.call, "attempt", [waits])
        assert "--sandbox-disk" in error.hint and str(32 << 20) in str(error)
        assert told(fleet, "attempt", "result = 1") == "did it: 1"
        eventually("its files are gone with it", lambda: not before & folders(fleet))


def folders(fleet: udfleet.LocalFleet) -> set[Path]:
    """Of interpreters."""
    return set((executor_folder(fleet) / "tmp").iterdir())


def test_a_payload_that_was_swapped_does_not_run() -> None:
    with udfleet.local(executors=1, interpreters=1) as fleet:
        # Of no module, so that all of it is in its payload.
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def honest(text): return str(__import__('os').getpid()) if text == 'pid' else {HONEST!r}", names)
        fleet.register_function("honest", udf(names["honest"], STRING, STRING))

        def killed() -> None:
            os.kill(int(str(fleet.call("honest", ["pid"]).to_pylist()[0])), signal.SIGKILL)

        # The executor has seen that the file is whole, and does not read it again.
        killed()
        assert fleet.call("honest", ["x"]).to_pylist() == [HONEST]
        changed = [path for path in (executor_folder(fleet) / "artifacts").iterdir() if swapped(path)]
        assert len(changed) == 1
        killed()

        def refused() -> bool:
            try:
                assert fleet.call("honest", ["x"]).to_pylist() == [HONEST], "what was swapped has run"
            except udfleet.UdfleetError as error:
                return "SHA-256" in str(error)
            return False

        eventually("its new interpreter refuses what was not registered", refused)


def swapped(path: Path) -> bool:
    """Changes a file in place, without changing its size."""
    content = path.read_bytes()
    forged = content.replace(HONEST.encode(), FORGED.encode())
    if forged == content:
        return False
    path.chmod(0o600)
    path.write_bytes(forged)
    return True


@udf(input_types=[STRING], result_type=STRING)
def package(how: str) -> str:
    """Tells of a package's file, or tries to change it."""
    import haversine

    if how == "links":
        return str(os.stat(haversine.__file__).st_nlink)
    try:
        with open(haversine.__file__, how) as file:
            return f"did it: {file.name}"
    except OSError as error:
        return type(error).__name__


def test_packages_are_no_links_to_a_cache_and_are_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On the same disk as the cache, where uv would link by itself.
    monkeypatch.setenv("UDFLEET_EXECUTOR_ENVIRONMENTS_DIR", str(tmp_path / "environments"))
    monkeypatch.delenv("UDFLEET_EXECUTOR_SANDBOX_WRITE", raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_LINK_MODE", "hardlink")
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("package", package, Environment(requirements=["haversine==2.9.0"]))
        assert fleet.call("package", ["links"]).to_pylist() == ["1"]
        for how in ("a", "w", "r+"):
            assert fleet.call("package", [how]).to_pylist() == ["PermissionError"]
