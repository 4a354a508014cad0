"""What people see on a terminal, and that nothing of it gets into a pipe."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from udfleet import udf

# What changes what is shown.
SETTINGS = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES", "LANG", "LC_ALL", "LC_CTYPE")
ESCAPE = "\x1b["
STREAM = """
import os, pyarrow as pa, udfleet
with udfleet.connect(os.environ["UDFLEET_ADDRESS"], os.environ["UDFLEET_TOKEN"]) as fleet:
    batches = [pa.record_batch({"a": pa.array(range(1000), pa.int64())})] * 20
    print(sum(answer.num_rows for answer in fleet.stream("on_terminal", batches, progress=True)))
"""


@pytest.fixture(scope="module")
def environment(fleet):
    fleet.register_function("on_terminal", udf(lambda a: -a, "BIGINT", "BIGINT"))
    mine = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    return {**mine, "UDFLEET_ADDRESS": fleet.address, "UDFLEET_TOKEN": fleet.token, "TERM": "xterm", "COLUMNS": "160"}


def on_terminal(arguments, environment, *streams):
    """Runs Python with these streams on a terminal; what it wrote there, and to the pipe that the other one is."""
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read():
        while True:
            try:
                shown.extend(os.read(ours, 65536))
            except OSError:
                return

    both = {stream: theirs if stream in streams else subprocess.PIPE for stream in ("stdout", "stderr")}
    process = subprocess.Popen([sys.executable, *arguments], stdin=theirs, env=environment, **both)
    os.close(theirs)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        reader.join()
        os.close(ours)
    assert process.returncode == 0, (shown, stdout, stderr)
    return shown.decode(), (stdout or stderr or b"").decode()


@pytest.mark.parametrize("command", ["functions", "status"])
def test_tables(environment, command):
    shown, _ = on_terminal(["-m", "udfleet", command], environment, "stdout", "stderr")
    assert ESCAPE in shown, "the header is bold"
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    (header,) = [line for line in lines if line.startswith("FUNCTION")]
    (row,) = [line for line in lines if line.startswith("on_terminal@1")]
    assert "\t" not in shown and header.index("STATE") == row.index("ready"), "columns are aligned"


@pytest.mark.parametrize("command", ["functions", "status"])
def test_a_pipe_gets_lines_without_control_characters(environment, command):
    shown, piped = on_terminal(["-m", "udfleet", command], environment, "stderr")
    # How wide columns are depends on what other tests have registered.
    assert (
        re.search(r"^on_terminal@1 +ready +\(BIGINT\) -> BIGINT +scalar", piped, re.MULTILINE) and ESCAPE not in shown
    )
    assert all(character.isprintable() or character == "\n" for character in piped)


def test_a_bar_on_stderr_alone(environment):
    shown, piped = on_terminal(["-c", STREAM], environment, "stderr")
    assert piped == "20000\n"
    assert "on_terminal" in shown and "\u2501" in shown and "20,000 rows" in shown and ESCAPE in shown


def test_a_line_where_stderr_is_no_terminal(environment):
    shown, piped = on_terminal(["-c", STREAM], environment, "stdout")
    assert shown == "20000\r\n"
    assert re.fullmatch(r"on_terminal: 20,000 of 20,000 rows in [\d.]+ s, [\d,]+ rows/s\n", piped), piped
