"""`udfleet audit verify`: what was changed is found."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner

from udfleet.cli.main import cli


def log(count: int, first: int = 1, previous: str = "0" * 64) -> list[str]:
    lines = []
    for sequence in range(first, first + count):
        event = {"sequence": sequence, "previous": previous, "what": "DropFunction", "subject": f"f{sequence}"}
        content = json.dumps(event, separators=(",", ":"))[:-1]
        previous = hashlib.sha256(content.encode()).hexdigest()
        lines.append(f'{content},"hash":"{previous}"}}')
    return lines


def verify(*paths):
    return CliRunner().invoke(cli, ["audit", "verify", *map(str, paths)])


def test_a_log_as_it_was_written(tmp_path):
    lines = log(5)
    (tmp_path / "audit-00000000000000000003.jsonl").write_text("\n".join(lines[:3]) + "\n")
    (tmp_path / "audit.jsonl").write_text("\n".join(lines[3:]) + "\n")
    done = verify(tmp_path)
    assert done.exit_code == 0 and "5 lines" in done.stderr
    assert verify(tmp_path / "audit.jsonl").exit_code == 0, "a file that others came before"


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], lines[1].replace("f2", "f9"), *lines[2:]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [*lines[:2], *log(3, first=3)],
        lambda lines: [*lines, "nonsense"],
    ],
)
def test_a_log_that_was_changed(tmp_path, change):
    file = tmp_path / "audit.jsonl"
    file.write_text("\n".join(change(log(5))) + "\n")
    done = verify(file)
    assert done.exit_code == 1 and done.stderr.startswith("error: INVALID_INPUT")
