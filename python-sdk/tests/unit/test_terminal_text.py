"""What functions print reaches a terminal as text."""

from __future__ import annotations

import contextlib
import datetime
from types import SimpleNamespace

import pyarrow as pa
from click.testing import CliRunner

from udfleet._client.capsules import CapsuleView
from udfleet._terminal import visible
from udfleet.cli import errors as errors_command
from udfleet.cli import logs as logs_command
from udfleet.cli import state as state_command
from udfleet.cli import tables
from udfleet.cli import top as top_command

EVIL = "a\x1b]0;title\x07b\x1b[2Kc\rd\x9b31m\u202ee"


def is_harmless(text: str) -> bool:
    return not any((ord(c) < 0x20 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in text)


def test_control_characters_are_written_out():
    shown = visible(EVIL)
    assert is_harmless(shown)
    assert shown == "a\\x1b]0;title\\x07b\\x1b[2Kc\\x0dd\\x9b31m\\u202ee"
    assert visible("plain\ttext\nö 漢 👍") == "plain\ttext\nö 漢 👍"


def test_tables_and_logs_show_no_control_characters(capsys, monkeypatch):
    tables.table(["FUNCTION", "REASON"], [["f@1", EVIL]])
    assert is_harmless(capsys.readouterr().out)
    line = SimpleNamespace(
        time=datetime.datetime.now(datetime.timezone.utc), executor="e", function="f@1", stream="stdout", text=EVIL
    )

    class Fleet:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def logs(self, *_):
            return [line]

    monkeypatch.setattr(logs_command, "connected", lambda ctx: Fleet())
    result = CliRunner().invoke(logs_command.logs, [])
    assert result.exit_code == 0
    assert "title" in result.output
    assert is_harmless(result.output)


def test_states_show_no_control_characters(monkeypatch):
    held = SimpleNamespace(key_schema=pa.schema([("key", pa.string())]), get=lambda key, name: EVIL)
    fleet = SimpleNamespace(stream_state=lambda stream: held)
    monkeypatch.setattr(state_command, "connected", lambda ctx: contextlib.nullcontext(fleet))
    result = CliRunner().invoke(state_command.state, ["get", "stream", "key", "--state", "text"])
    assert result.exit_code == 0
    assert "title" in result.output
    assert is_harmless(result.output)


def test_errors_show_no_control_characters_and_take_an_empty_message(monkeypatch):
    now = datetime.datetime.now(datetime.timezone.utc)
    capsule = CapsuleView("id", EVIL, EVIL, now, "USER_CODE", EVIL, "", 2, 1, 0, [])
    rows = SimpleNamespace(function=EVIL, executor=EVIL, count=1, first=[])
    fleet = SimpleNamespace(capsules=lambda name: [capsule], row_errors=lambda name: [rows])
    monkeypatch.setattr(errors_command, "connected", lambda ctx: contextlib.nullcontext(fleet))
    result = CliRunner().invoke(errors_command.errors, [])
    assert result.exit_code == 0, result.exception
    assert result.output.count("title") == 5
    assert is_harmless(result.output)


def test_top_shows_no_control_characters(capsys):
    row = {"reason": "LOAD_FAILED", "subject": "f@1", "evidence": EVIL}
    top_command._show({"executors": [], "functions": [], "waiting": [row]})
    shown = capsys.readouterr().out
    assert "title" in shown
    assert is_harmless(shown)
