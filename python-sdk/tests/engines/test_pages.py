"""The page of each engine can be run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[3] / "docs" / "engines"


def _blocks(page: Path, language: str) -> str:
    return "".join(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("engine", ["clickhouse", "datafusion", "duckdb", "pandas", "polars", "spark"])
def test_a_page(engine, tmp_path):
    page = PAGES / f"{engine}.md"
    script = tmp_path / "page.py"
    script.write_text(_blocks(page, "python"))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == _blocks(page, "text")


def test_what_pages_install_is_there():
    """udfleet comes from a wheel that is there, never by its name from an index, with extras that it has."""
    extras = metadata("udfleet").get_all("Provides-Extra")
    named = []
    for page in PAGES.glob("*.md"):
        for line in re.findall(r"^\$? ?(.*pip install .*)$", _blocks(page, "console"), flags=re.MULTILINE):
            assert not re.search(r"udfleet(?!-\*\.whl)", line), f"{page.name}: {line}"
            named += re.findall(r"udfleet-\*\.whl\)\[(\w+)\]", line)
    assert sorted(named) == sorted(extras)
