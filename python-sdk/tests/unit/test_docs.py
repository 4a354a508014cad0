"""Pages name files and sections that exist, and describe every exception class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from udfleet import errors
from udfleet.table import expressions
from udfleet.table.builtins import BuiltinMethods
from udfleet.table.composed import ComposedMethods
from udfleet.table.intervals import IntervalMethods
from udfleet.table.python_methods import PythonMethods

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "python-sdk" / "README.md"])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
TOP = {path.name for path in ROOT.iterdir() if path.is_dir() or path.suffix in (".md", ".toml", ".lock")}


def _prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def _slugs(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_links(page: Path) -> Iterator[str]:
    for target in LINK.findall(_prose(page)):
        if "://" in target:
            continue
        path, _, section = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (section and section not in _slugs(file)):
            yield target


def _missing_files(page: Path) -> Iterator[str]:
    for text in CODE.findall(_prose(page)):
        top, slash, _ = text.partition("/")
        is_path = re.fullmatch(r"[\w./-]+", text) and slash and top in TOP and top not in ("target", ".venv")
        if is_path and not (ROOT / text).exists():
            yield text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_named_files_exist(page):
    assert list(_broken_links(page)) == []
    assert list(_missing_files(page)) == []


def test_every_built_in_method_of_expressions_is_listed():
    section = (
        (ROOT / "docs" / "table-api.md").read_text().split("### Built-in functions of objects")[1].split("\n##")[0]
    )
    listed = {text.partition("(")[0] for text in CODE.findall(section)}
    methods = {
        name
        for mixin in (BuiltinMethods, ComposedMethods, PythonMethods)
        for name in vars(mixin)
        if not name.startswith("_")
    }
    # The page says that each goes without its s, too.
    spans = {name for name in vars(IntervalMethods) if name.endswith("s") and not name.startswith("_")}
    elsewhere = {"and_", "or_", "not_", "coalesce", "null_of", "call", "col", "lit", "if_then_else", "range_"}
    functions = {name for name in expressions.__all__ if name not in elsewhere and "columns" not in name}
    assert listed - {".distinct", ".filter"} == methods | spans | functions
    assert all(hasattr(IntervalMethods, name[:-1]) for name in spans)
    assert all(callable(getattr(expressions, name)) for name in functions)


def test_every_exception_class_stands_on_the_page_of_its_code():
    for code, kind in errors.BY_CODE.items():
        assert f"`{kind.__name__}`" in (ROOT / "docs" / "errors" / f"{code}.md").read_text(), code


def test_each_test_file_has_a_name_of_its_own():
    """pytest imports them by these names; and who is told of a failure looks for one file."""
    names = [path.name for path in (ROOT / "python-sdk/tests").glob("**/*.py") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
