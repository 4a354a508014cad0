"""Signals while a client waits: Ctrl-C ends the wait at once and cancels on the fleet; other handlers run meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
from fleet_support import BIGINT, eventually

from udfleet import udf

SECONDS = 0.1
"""How soon whoever waits is interrupted."""

CLIENT = """
import os, signal, sys, threading, time
import pyarrow as pa, udfleet
from udfleet import udf

sent = 0.0
def interrupt(number=signal.SIGINT):
    global sent
    sent = time.monotonic()
    os.kill(os.getpid(), number)

def when(check, number=signal.SIGINT):
    def wait():
        while not check():
            time.sleep(0.02)
        # Into the wait itself, past what leads to it.
        time.sleep(0.2)
        interrupt(number)
    threading.Thread(target=wait, daemon=True).start()

def sleeps(path):
    return lambda: os.path.exists(path)

def go_on(path):
    open(path + ".go", "w").close()

def interrupted(kind, call, *arguments):
    try:
        call(*arguments)
    except kind as error:
        took = time.monotonic() - sent
        assert took < {seconds}, took
        assert error.__context__ is None or error.__suppress_context__, error.__context__
    else:
        raise AssertionError("not interrupted")

fleet = udfleet.connect(os.environ["UDFLEET_ADDRESS"], os.environ["UDFLEET_TOKEN"], direct=bool(os.environ.get("DIRECT")))
"""


def sleeper(path):
    """Says that it runs, and waits until it is told to go on."""
    import time
    from pathlib import Path

    Path(path).touch()
    deadline = time.monotonic() + 60
    while not Path(path + ".go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.fixture(scope="module")
def sleeping(fleet) -> str:
    fleet.register_function("sleeper", udf(sleeper, "STRING", BIGINT))
    fleet.register_function("twice", udf(lambda a: 2 * a, BIGINT, BIGINT))
    return "sleeper"


def run_client(fleet, code: str, direct: bool = True, **variables: str) -> None:
    text = CLIENT.replace("{seconds}", str(SECONDS)) + textwrap.dedent(code)
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token, **variables}
    environment["DIRECT"] = "1" if direct else ""
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=40)
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    "waits",
    [
        'fleet.call, "sleeper", [path]',
        'list, fleet.stream("sleeper", [pa.record_batch([[path]], ["a"])] * 3)',
        'fleet.exchange("sleeper").call, pa.record_batch([[path]], ["a"])',
        'fleet.from_elements([(path,)], ["path"]).select("sleeper(path)").to_arrow,',
    ],
    ids=["call", "stream", "exchange", "table"],
)
def test_ctrl_c(fleet, sleeping, tmp_path, waits, direct):
    code = f"""
    path = os.environ["SLEEPS"]
    when(sleeps(path))
    interrupted(KeyboardInterrupt, {waits})
    go_on(path)
    assert fleet.call("twice", [1, 2]).to_pylist() == [2, 4]
    """
    run_client(fleet, code, direct, SLEEPS=str(tmp_path / "sleeps"))


def test_an_exchange_goes_on_after_it(fleet, sleeping, tmp_path):
    code = """
    path = os.environ["SLEEPS"]
    with fleet.exchange("sleeper") as exchange, fleet.exchange("twice") as other:
        when(sleeps(path))
        interrupted(KeyboardInterrupt, exchange.call, pa.record_batch([[path]], ["a"]))
        go_on(path)
        assert exchange.call(pa.record_batch([[path]], ["a"])).to_pylist() == [None]
        assert other.call(pa.record_batch({"a": [4]})).to_pylist() == [8]
    """
    run_client(fleet, code, SLEEPS=str(tmp_path / "sleeps"))


def test_handlers_of_a_programs_own(fleet, sleeping, tmp_path):
    """One that raises an error of transport's own kind ends the wait; one that does not raise runs, and the wait goes on."""
    code = """
    path = os.environ["SLEEPS"]
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append(time.monotonic() - sent))
    when(sleeps(path), signal.SIGUSR1)
    def times_out(*_):
        raise TimeoutError("my own")
    signal.signal(signal.SIGALRM, times_out)
    when(lambda: heard, signal.SIGALRM)
    interrupted(TimeoutError, fleet.call, "sleeper", [path])
    go_on(path)
    assert len(heard) == 1 and heard[0] < 0.1, heard
    assert fleet.call("twice", [1, 2]).to_pylist() == [2, 4]
    """
    run_client(fleet, code, SLEEPS=str(tmp_path / "sleeps"))


def test_the_wakeup_descriptor_of_another_library_is_left(fleet, sleeping):
    code = """
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs)
    assert fleet.call("twice", [1]).to_pylist() == [2]
    assert signal.set_wakeup_fd(-1) == theirs
    """
    run_client(fleet, code)


def test_a_registration(fleet, tmp_path):
    code = """
    path = os.environ["SLEEPS"]
    class Slow(udfleet.ScalarFunction):
        def open(self, context):
            open(path, "w").close()
            while not os.path.exists(path + ".go"):
                time.sleep(0.02)
        def eval(self, a):
            return a
    when(sleeps(path))
    interrupted(KeyboardInterrupt, fleet.register_function, "opens", udf(Slow(), "BIGINT", "BIGINT"))
    go_on(path)
    """
    run_client(fleet, code, SLEEPS=str(tmp_path / "sleeps"))


def test_an_executor_and_a_coordinator_that_do_not_answer(fleet):
    """They are waited for two seconds, which Ctrl-C cuts short."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = """
        from udfleet._flight.directory import Directory
        from udfleet._flight.exchange_stream import ExchangeStream
        import pyarrow.flight
        address = os.environ["SILENT"]
        when(lambda: True)
        interrupted(KeyboardInterrupt, udfleet.connect, address)
        directory = Directory(fleet._rpc)
        descriptor = pyarrow.flight.FlightDescriptor.for_path("x")
        when(lambda: True)
        interrupted(KeyboardInterrupt, ExchangeStream, directory.client(address), address, descriptor, directory.call_options(address))
        """
        run_client(fleet, code, SILENT=f"127.0.0.1:{silent.getsockname()[1]}")


def test_on_the_command_line(fleet, sleeping, tmp_path):
    path = str(tmp_path / "sleeps")
    environment = {**os.environ, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token}
    command = [sys.executable, "-m", "udfleet", "call", "sleeper", "--arg", path]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        eventually("it sleeps", lambda: os.path.exists(path))
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 130
        assert running.stderr.read().strip() == "interrupted"
    (tmp_path / "sleeps.go").touch()
