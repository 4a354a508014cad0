"""What udfleet is measured against: processes that live for one run of the bench."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARIES = ROOT / "target" / "release"
SPIN, SPIN_ROWS = 10_000, 20
ARROW_UDF_VENV = ROOT / "target" / "bench-venv"


class Yardstick:
    """A server process that ends when its standard input closes."""

    def __init__(self, command: list[str], marker: str) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(marker):
                self.address = "127.0.0.1:" + line.strip().replace(":", " ").split()[-1]
                return
        raise RuntimeError(f"{command[0]} ended before it said where it listens")

    def close(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=30)


def echo() -> Yardstick:
    """The bare Flight echo server in Rust."""
    return Yardstick([str(BINARIES / "udfleet-echo")], "127.")


def arrow_udf() -> Yardstick:
    """arrow-udf's Python server, installed when first used."""
    python = ARROW_UDF_VENV / "bin" / "python"
    if not python.exists():
        print("installing arrow-udf into target/bench-venv", file=sys.stderr)
        venv.create(ARROW_UDF_VENV, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(HERE / "requirements.lock")], check=True)
    return Yardstick([str(python), str(HERE / "arrow_udf_server.py")], "port")


def bare_loop(processes: int, batches: int) -> float:
    """Rows per second of `functions.spin` in so many Python processes side by side: what the machine gives."""
    code = "import sys; from functions import spin; print('ready', flush=True); sys.stdin.readline()\n"
    code += f"for _ in range({batches}): [spin({SPIN}) for _ in range({SPIN_ROWS})]"
    command = [sys.executable, "-c", code]
    children = [
        subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    started = time.perf_counter()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    if any(child.wait() for child in children):
        raise RuntimeError("a bare Python process failed")
    return processes * batches * SPIN_ROWS / (time.perf_counter() - started)


def python_start() -> float:
    """Seconds of a bare `python -c pass`, from start to end."""
    started = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ)
    os.waitpid(pid, 0)
    return time.perf_counter() - started


def uncontained() -> list[str]:
    """The command of an interpreter of this Python, embedded as executors do it, without the sandbox."""
    library = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("LDLIBRARY")
    libpython = str(library) if library.suffix != ".a" and library.exists() else "-"
    program = str(BINARIES / "udfleet-interpreter")
    module = str(BINARIES / "libudfleet_interpreter.so")
    return [program, "--contain", "nothing", "python", module, libpython, sys.executable]


def as_started(executor: int) -> tuple[list[str], list[str]]:
    """The command with which an executor has started an interpreter, and the same without the sandbox."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            parent = int((command.parent / "stat").read_text().rpartition(")")[2].split()[1])
            words = command.read_text().split("\0")[:-1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == executor and "--network" in words and "python" in words:
            return words, [words[0], "--contain", "nothing", *words[words.index("python") :]]
    raise RuntimeError(f"executor {executor} has no interpreter whose command can be seen")


def without_sandbox(start: Callable[[], T]) -> T:
    """What comes of starting a fleet whose executors contain nothing."""
    name = "UDFLEET_EXECUTOR_SANDBOX"
    before = os.environ.get(name)
    os.environ[name] = "off"
    try:
        return start()
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def interpreter_start(arguments: list[str]) -> float:
    """Seconds until an interpreter that is started so says that it is ready."""
    program = arguments[0]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)]
        started = time.perf_counter()
        pid = os.posix_spawn(program, arguments, {"LANG": "C.UTF-8"}, file_actions=actions)
        theirs.close()
        if not ours.recv(4096):
            raise RuntimeError("the interpreter ended before it was ready")
        seconds = time.perf_counter() - started
    os.waitpid(pid, 0)
    return seconds
