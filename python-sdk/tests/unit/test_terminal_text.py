"""What functions print reaches a terminal as text."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

from click.testing import CliRunner

from udfleet._terminal import visible
from udfleet.cli import logs as logs_command
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


def test_top_shows_no_control_characters(capsys):
    row = {"reason": "LOAD_FAILED", "subject": "f@1", "evidence": EVIL}
    top_command._show({"executors": [], "functions": [], "waiting": [row]})
    shown = capsys.readouterr().out
    assert "title" in shown
    assert is_harmless(shown)
