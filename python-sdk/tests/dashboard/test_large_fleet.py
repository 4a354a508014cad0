"""The page of a fleet with 500 functions on 100 executors, which a stand-in for the coordinator's API makes up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from dashboard_browser import DASHBOARD, Browser, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PAGES = {
    "/": "Overview",
    "/functions": "Functions",
    "/functions/score_orders_0": "score_orders_0",
    "/functions/score_orders_0?tab=Profile": "score_orders_0",
    "/functions/score_orders_0?tab=Logs": "score_orders_0",
    "/executors": "Executors",
    "/executors/executor-3": "executor-3",
    "/environments": "Environments",
    "/errors": "Errors",
    "/why": "Why pending",
    "/events": "Events",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    double = subprocess.Popen(["node", str(DASHBOARD / "tests" / "double.mjs")], stdout=subprocess.PIPE, text=True)
    assert double.stdout is not None
    tab = Browser(double.stdout.readline().strip())
    yield tab
    tab.close()
    double.kill()
    double.communicate()


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_a_large_fleet(browser, path):
    for theme, width in [("light", 1440), ("dark", 1024), ("light", 400)]:
        browser.view(theme=theme, width=width)
        browser.open(path=path)
        browser.wait(selector="h1", text=PAGES[path])
        browser.wait(selector=".asof", text="live")
        if path.endswith("Profile"):
            browser.wait(selector=".flame", text="part_2")
        assert browser.overflow() <= 0, f"{path} is wider than {width}"
    assert browser.axe() == []
    assert browser.problems()["problems"] == []


def test_a_large_table_is_searched_and_shown_whole(browser):
    browser.view(theme="light", width=1440)
    browser.open(path="/functions")
    browser.wait(selector="button.quiet", text="Show all 500")
    browser.click(selector="button.quiet")
    browser.wait(selector="tbody", text="score_users_6")
    browser.fill(selector="input[type=search]", text="geo_orders_4")
    browser.wait(selector="tbody", text="geo_orders_4")
    assert browser.text(selector="tbody").count("geo_orders_4") >= 1
    assert "score_users_6" not in browser.text(selector="tbody")


def test_lines_that_take_longer_than_a_turn_are_shown(browser):
    browser.open(path="/functions/score_orders_24?tab=Logs")
    browser.wait(selector=".logs", text="late line", seconds=30)


def test_a_refusal_of_lines_is_shown(browser):
    browser.open(path="/functions/score_orders_36?tab=Logs")
    browser.wait(selector="main", text="no executor tells its lines", seconds=30)
    browser.problems()
