"""udfleet profile, udfleet errors: tables, flame graphs, and what is said where there is nothing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from click.testing import CliRunner

from udfleet import UserCodeError
from udfleet._client.fleet import Fleet
from udfleet._client.views import ProfileView, RowErrorsView
from udfleet.cli.flamegraph import svg
from udfleet.cli.main import cli
from udfleet.cli.stacks import merged, top

STACKS = {"m.py:eval:1;m.py:slow:5": 60, "m.py:eval:1;m.py:quick:9": 30, "m.py:eval:1": 10}
VIEWS = [ProfileView("executor-1", "f@1", 0.01, STACKS), ProfileView("executor-2", "f@1", 0.01, {"m.py:eval:1": 100})]


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(Fleet, "check", lambda self: "0.1.0")
    return lambda *arguments: CliRunner().invoke(cli, list(arguments))


def test_time_per_function():
    stacks = merged(VIEWS)
    assert top(stacks) == [
        ("m.py:eval:1", pytest.approx(1.1), pytest.approx(2.0)),
        ("m.py:slow:5", pytest.approx(0.6), pytest.approx(0.6)),
        ("m.py:quick:9", pytest.approx(0.3), pytest.approx(0.3)),
    ]
    assert top({("a", "a", "b"): 1.0}) == [("b", 1.0, 1.0), ("a", 0.0, 1.0)]


def test_profile_shows_a_table_and_draws(run, monkeypatch, tmp_path):
    monkeypatch.setattr(Fleet, "profile", lambda self, name: VIEWS)
    target = tmp_path / "flame.svg"
    done = run("profile", "f", "--svg", str(target), "-n", "2")
    assert done.stdout.splitlines() == [
        "OWN %  OWN S  TOTAL %  TOTAL S  FUNCTION",
        " 55.0   1.10    100.0     2.00  m.py:eval:1",
        " 30.0   0.60     30.0     0.60  m.py:slow:5",
    ]
    picture = ElementTree.parse(target).getroot()
    titles = [title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert "m.py:slow:5: 0.60 s, 30.0 %" in titles and len(titles) == 4
    assert json.loads(run("profile", "--json").stdout)[0]["stacks"] == STACKS
    assert run("profile", "--svg", str(tmp_path / "none" / "f.svg")).exit_code == 1
    monkeypatch.setattr(Fleet, "profile", lambda self, name: [])
    done = run("profile")
    assert done.exit_code == 0 and "python.profile.enabled" in done.stderr


def test_boxes_lie_on_their_callers():
    picture = ElementTree.fromstring(svg({("a", "<b>&"): 3.0, ("a", "c"): 1.0}, "a & b"))
    boxes = {}
    for group in picture.iter("{http://www.w3.org/2000/svg}g"):
        title, box = group[0].text, group[1].attrib
        boxes[title.rpartition(":")[0]] = [float(box[name]) for name in ("x", "y", "width")]
    (ax, ay, aw), (bx, by, bw), (cx, cy, cw) = boxes["a"], boxes["<b>&"], boxes["c"]
    assert (bx, by) == (ax, ay - 17) and cy == by and cx == pytest.approx(ax + 0.75 * 1180, abs=0.2)
    assert bw + cw == pytest.approx(aw, abs=1)
    deep = svg({tuple(f"f{depth}" for depth in range(2000)): 1.0}, "deep")
    assert deep.count("<title>") == 2001
    assert "<title>" not in svg({}, "nothing")


def test_errors_are_shown_whole(run, monkeypatch):
    error = UserCodeError("ValueError: no", function="f@1", row=3, hint="look")
    monkeypatch.setattr(Fleet, "row_errors", lambda self, name: [RowErrorsView("executor-1", "f@1", 7, [error])])
    monkeypatch.setattr(Fleet, "capsules", lambda self, name: [])
    done = run("errors", "f")
    assert "f@1 on executor-1: 7 rows failed" in done.stdout and "USER_CODE: f@1: row 3: ValueError: no" in done.stdout
    (found,) = json.loads(run("errors", "--json").stdout)["row_errors"]
    assert (found["count"], found["first"][0]["code"]) == (7, "USER_CODE")
    monkeypatch.setattr(Fleet, "row_errors", lambda self, name: [])
    assert "nothing is kept" in run("errors").stderr
