"""The file of `support-bundle`: who may read it, and what is left of one that fails."""

from __future__ import annotations

import datetime
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from udfleet.cli import bundle
from udfleet.errors import UnreachableError


def test_only_its_user_can_read_it_while_it_is_written(tmp_path: Path) -> None:
    target = tmp_path / "bundle.zip"
    modes = []

    def parts() -> Iterator[tuple[str, str]]:
        modes.append(stat.S_IMODE(target.stat().st_mode))
        yield "a.json", "1"

    former = os.umask(0)
    try:
        bundle._write(target, parts())
    finally:
        os.umask(former)
    assert modes == [0o600]
    with pytest.raises(FileExistsError):
        bundle._write(target, parts())
    assert target.exists(), "what was there stays"


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt(), UnreachableError("away")])
def test_nothing_is_left_of_one_that_fails(tmp_path: Path, failure: BaseException) -> None:
    def parts() -> Iterator[tuple[str, str]]:
        yield "a.json", "1"
        raise failure

    with pytest.raises(type(failure)):
        bundle._write(tmp_path / "bundle.zip", parts())
    assert not list(tmp_path.iterdir())


class Away:
    """A fleet that was there a moment ago."""

    coordinators = ("h:1",)

    def refuse(self, *_: Any, **__: Any) -> Any:
        raise UnreachableError("away")

    check = executors = functions = logs = progress = system_table = tenants = refuse
    meta_store_outage = certificate_ends = property(refuse)


def test_what_a_coordinator_no_longer_says_is_told() -> None:
    parts = dict(bundle._parts(Away(), datetime.datetime.now(datetime.timezone.utc), 5))  # type: ignore[arg-type]
    about = json.loads(parts["about.json"])
    assert about["coordinator"] == {"version": None, "known": ["h:1"]}
    assert {"functions", "executors", "logs", "version", "meta_store_outage"} <= set(about["missing"])
