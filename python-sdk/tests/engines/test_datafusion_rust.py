"""DataFusion in Rust with functions of a fleet: an example that checks itself, in a program of its own (`make test-datafusion`)."""

from __future__ import annotations

import os
import re

import pytest
import rust_programs
from remote_servers import ROOT

CHECKS = ["results", "nulls", "places", "nested", "volatile", "constants", "batch-size", "errors", "refused"]

pytestmark = pytest.mark.skipif(
    not os.environ.get("UDFLEET_DATAFUSION_RUST"), reason="runs with `make test-datafusion`"
)


@pytest.fixture(scope="module")
def check():
    """Runs one check of the program."""
    return rust_programs.build("datafusion")


def test_all_checks_are_run_here(check):
    assert check("list").stdout.split() == CHECKS


@pytest.mark.parametrize("name", CHECKS)
def test_datafusions_own_sql_gives_the_same(check, fleet, name):
    done = check(fleet.address, name, token=fleet.token)
    assert done.returncode == 0, done.stderr


def test_without_the_token(check, fleet):
    done = check(fleet.address, "results")
    assert done.returncode == 1 and "the call carries no token" in done.stderr


def test_the_page(check, fleet):
    page = (ROOT / "docs" / "engines" / "datafusion.md").read_text()
    code, printed = re.search(r"^```rust\n(.*?)^```\n+```\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL).groups()
    assert code in (ROOT / "tests" / "datafusion" / "src" / "page.rs").read_text()
    done = check(fleet.address, "page", token=fleet.token)
    assert done.stdout == printed, done.stderr
