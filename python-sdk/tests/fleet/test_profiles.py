"""Profiles name the files and lines that their author wrote, whichever cloudpickle has packed them."""

from __future__ import annotations

from collections import ChainMap
from pathlib import Path
from types import CodeType

import cloudpickle
import pytest
from fleet_support import BIGINT, eventually

from udfleet import udf
from udfleet._packing import pickling


def _nameless(code):
    """As cloudpickle does it from version 3.1.3 on: all code has one name."""
    make, arguments = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return make, tuple("<dynamic-code>" if part == code.co_filename else part for part in arguments)


def spins(count):
    def inner(total):
        for number in range(count):
            total += number  # here
        return total

    return inner(0)


@pytest.mark.parametrize("nameless", [False, True])
def test_frames_are_those_of_the_authors_file(fleet, monkeypatch, nameless):
    if nameless:
        table = ChainMap({CodeType: _nameless}, cloudpickle.Pickler.dispatch_table)
        monkeypatch.setattr(pickling._Pickler, "dispatch_table", table, raising=False)
    name = f"spins_{nameless}".lower()
    fleet.register_function(name, udf(spins, BIGINT, BIGINT), config={"python.profile.enabled": "true"})
    lines = Path(__file__).read_text().splitlines()
    here = next(number for number, line in enumerate(lines, 1) if line.endswith("# here"))

    def stacks():
        fleet.call(name, [3_000_000] * 2)
        return {stack for view in fleet.profile(name) for stack in view.stacks}

    wanted = f"{Path(__file__).name}:inner:{here}"
    found = eventually("the loop is sampled", lambda: (s := stacks()) and any(wanted in one for one in s) and s)
    frames = {frame.partition(":")[0] for stack in found for frame in stack.split(";")}
    assert frames == {Path(__file__).name}
