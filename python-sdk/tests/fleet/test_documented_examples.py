"""What the pages show can be run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def _run(script: str, folder: Path) -> str:
    path = folder / "page.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_function_of_the_readme(tmp_path):
    assert _run(_blocks("README.md", "python")[0], tmp_path) == _blocks("README.md", "text")[0]


def test_the_readme_of_the_package(tmp_path):
    assert "11" in _run(_blocks("python-sdk/README.md", "python")[0], tmp_path)


def test_the_tour_of_the_python_api(tmp_path):
    lines = _run("".join(_blocks("docs/python.md", "python")), tmp_path).splitlines()
    assert "[11, 12, 13]" in lines
    assert lines[-1] == "['shout@1']"


def test_the_page_of_functions(tmp_path):
    printed = _run("".join(_blocks("docs/functions.md", "python")), tmp_path)
    assert printed == "".join(_blocks("docs/functions.md", "text"))


def test_the_page_of_tables(tmp_path):
    printed = _run("".join(_blocks("docs/table-api.md", "python")), tmp_path)
    *results, _ = _blocks("docs/table-api.md", "text")
    assert printed == "".join(results)
