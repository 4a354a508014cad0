"""`deploy/system-packages` says which tools are missing or too old, and how to get them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NEEDED = re.search(r'^rust-version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), flags=re.MULTILINE)[1]
PYTHON = 'case "$*" in *version_info*) exit {too_old};; -V) echo Python 3.9.1;; esac'


@pytest.fixture
def run(tmp_path):
    """Runs it where every tool is a stand-in that does what it is given; None: there is no such tool."""

    def run(**changed):
        tools = {
            "apt-get": "exit 9",
            "cargo": "",
            "cargo-clippy": "",
            "cargo-fmt": "",
            "cc": "",
            "protoc": "",
            "python3.11": PYTHON.format(too_old=0),
            "rustc": f"echo rustc {NEEDED}.0",
            **{name.replace("_", "-"): body for name, body in changed.items()},
        }
        for name, body in tools.items():
            if body is not None:
                (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
                (tmp_path / name).chmod(0o755)
        for name in ("bash", "cut", "dirname", "head", "id", "sed", "sort"):
            found = next(folder for folder in ("/usr/bin", "/bin") if Path(folder, name).exists())
            (tmp_path / name).symlink_to(Path(found, name))
        command = [str(ROOT / "deploy" / "system-packages")]
        return subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30)

    return run


def test_where_all_is_there_nothing_is_said(run):
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("tools", "said", "hint"),
    [
        ({"cargo": None}, f"Rust is missing, {NEEDED} or newer is needed", "rustup toolchain install"),
        ({"rustc": "echo rustc 1.9.0"}, f"Rust is 1.9.0, {NEEDED} or newer is needed", "rustup toolchain install"),
        ({"cargo_clippy": None}, "clippy is missing, which 'make lint' needs", "rustup component add clippy"),
        ({"cargo_fmt": "exit 1"}, "rustfmt is missing, which 'make lint' needs", "rustup component add rustfmt"),
        ({"python3.11": PYTHON.format(too_old=1)}, "is Python 3.9.1, Python 3.10 or newer is needed", "python3.11"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(run, tools, said, hint):
    done = run(**tools)
    told, todo = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert told.startswith("setup: ") and said in told and todo.startswith("hint: ") and hint in todo
