"""The dashboard in a real browser, on a real fleet under load: every page, and what happens while it is open."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from dashboard_browser import Browser, missing
from fleet_support import BIGINT, eventually

import udfleet
from udfleet import udf

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PAGES = {
    "/": "Overview",
    "/functions": "Functions",
    "/functions/steady": "steady",
    "/functions/steady@1?tab=Versions": "steady",
    "/functions/steady?tab=Executors": "steady",
    "/functions/steady?tab=Logs": "steady",
    "/functions/steady?tab=Profile": "steady",
    "/functions/steady?tab=Source": "steady",
    "/functions/failing?tab=Errors": "failing",
    "/executors": "Executors",
    "/executors/executor-1": "executor-1",
    "/environments": "Environments",
    "/errors": "Errors",
    "/why": "Why pending",
    "/events": "Events",
}


def failing(value):
    raise ValueError(f"no price for {value}")


def spin(rounds):
    return sum(number * number for number in range(rounds))


def noisy(value):
    print("saw", value)
    spin(20_000)
    return value


class Load:
    """Calls functions until it is left."""

    def __init__(self, fleet: udfleet.LocalFleet) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(fleet, name)) for name in ("steady", "failing")]

    def _call(self, fleet: udfleet.LocalFleet, name: str) -> None:
        while not self._stop.wait(0.05):
            with contextlib.suppress(udfleet.UdfleetError):
                fleet.call(name, list(range(50)))

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def busy() -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("steady", udf(noisy, BIGINT, BIGINT), config={"python.profile.enabled": True})
        fleet.register_function("failing", udf(failing, BIGINT, BIGINT), config={"udfleet.capsules": "errors"})
        with Load(fleet):
            yield fleet


@pytest.fixture(scope="module")
def browser(busy: udfleet.LocalFleet) -> Iterator[Browser]:
    tab = Browser(f"http://{busy.http_address}")
    tab.log_in(busy.token or "")
    yield tab
    tab.close()


def nothing_wrong(browser: Browser) -> None:
    assert browser.problems()["problems"] == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_shows_itself_without_a_word_in_the_console(browser, path):
    for theme, width in [("light", 1440), ("dark", 400)]:
        browser.view(theme=theme, width=width)
        browser.open(path=path)
        browser.wait(selector="h1", text=PAGES[path])
        browser.wait(selector=".asof", text="live")
        assert browser.overflow() <= 0, f"{path} is wider than {width}"
        assert browser.axe() == [], f"{path} {theme}"
        nothing_wrong(browser)


def test_what_is_shown_is_what_happens(browser):
    browser.view(theme="light", width=1440)
    browser.open(path="/functions/failing")
    browser.wait(selector=".tabs", text="Errors (1)")
    browser.click(selector="#tab-Errors")
    browser.wait(text="batches failed")
    assert browser.where().endswith("?tab=Errors"), "the view can be linked to"
    browser.open(path="/functions/steady?tab=Logs")
    browser.wait(selector=".logs", text="saw 7")
    browser.open(path="/functions/steady?tab=Profile")
    browser.wait(selector=".flame", text="spin")
    browser.wait(selector="table", text="spin")
    browser.click(selector=".flame button.whole + button")
    browser.click(selector="text=All of it")
    browser.fill(selector="#panel input[type=search]", text="spin")
    browser.wait(selector="[role=status]", text="of the time")
    browser.open(path="/functions/failing?tab=Profile")
    browser.wait(selector="#panel", text="It is not profiled")
    browser.open(path="/functions/steady")
    browser.wait(selector=".bars", text="32")
    browser.open(path="/functions/steady?tab=Source")
    browser.wait(selector="pre", text='print("saw", value)')
    browser.open(path="/functions/nothing")
    browser.wait(text="No function nothing is registered")
    browser.problems()


def test_a_failed_batch_that_is_kept_can_be_had_from_the_page(browser, busy):
    capsule = eventually("one is kept", lambda: busy.capsules("failing"))[-1]
    for theme, width in [("light", 1440), ("dark", 400)]:
        browser.view(theme=theme, width=width)
        browser.open(path="/functions/failing?tab=Errors")
        browser.click(selector=".capsules > summary")
        browser.wait(selector=".capsules li", text=capsule.id)
        assert f"/api/v1/capsules/{capsule.id}/file" in browser.html()
        assert browser.overflow() <= 0 and browser.axe() == []
        browser.click(selector=".capsules li details.menu summary")
        browser.wait(selector=".capsules li details.menu[open]", text=f"udfleet replay {capsule.id} --pdb")
    nothing_wrong(browser)


def test_the_keyboard_goes_everywhere(browser):
    browser.open(path="/")
    browser.wait(selector=".asof", text="live")
    for key, heading in [
        ("f", "Functions"),
        ("e", "Executors"),
        ("w", "Why pending"),
        ("v", "Events"),
        ("o", "Overview"),
    ]:
        browser.press(keys=["g", key])
        browser.wait(selector="h1", text=heading)
    browser.press(keys=["/"])
    browser.wait(selector="dialog[open] [role=option]", text="steady")
    browser.press(keys=["s", "t", "e", "a", "Enter"])
    browser.wait(selector="h1", text="steady")
    browser.press(keys=["g", "f"])
    browser.wait(selector="td", text="failing")
    browser.press(keys=["j", "j", "k", "Enter"])
    browser.wait(selector="h1", text="failing")
    browser.press(keys=["?"])
    browser.wait(selector="dialog[open]", text="Keys")
    assert browser.axe() == []
    browser.press(keys=["Escape"])
    nothing_wrong(browser)


def test_the_token_is_nowhere(browser, busy):
    token = busy.token or ""
    assert token not in browser.html() + browser.where() + browser.storage()
    (cookie,) = browser.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and token not in cookie["value"]
    for log in busy._processes.folder.glob("*.log"):
        assert token not in log.read_text()


def test_a_wrong_token_opens_nothing(busy):
    tab = Browser(f"http://{busy.http_address}")
    try:
        tab.open(path="/functions")
        tab.wait(selector="label", text="Token")
        assert tab.axe() == []
        tab.fill(selector="#token", text="wrong")
        tab.click(selector="button[type=submit]")
        tab.wait(selector="[role=alert]", text="the token is wrong")
        assert tab.cookies() == []
        assert "steady" not in tab.html()
    finally:
        tab.close()


def refused(address: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_pages_of_others_get_nothing(busy):
    address, token = busy.http_address, {"Authorization": f"Bearer {busy.token}"}
    assert refused(address, "/api/v1/topics/overview", **token) == 200
    assert refused(address, "/api/v1/topics/overview") == 401
    assert refused(address, "/api/v1/events?topics=overview") == 401
    assert refused(address, "/api/v1/topics/overview", Host="evil.example", **token) == 403
    assert refused(address, "/", Host="evil.example") == 403
    assert refused(address, "/api/v1/session", Origin="http://evil.example") == 403
    for path in ("/api/v1/nothing", "/assets/nothing.js", "/nothing"):
        assert refused(address, path, **token) == 404, path
    for path in ("topics/nothing", "topics/function:a b", "history?series=x", "events?topics=x", "activity?severity=x"):
        assert refused(address, f"/api/v1/{path.replace(' ', '%20')}", **token) == 400, path
    answer = urllib.request.urlopen(f"http://{address}/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_stream_goes_on_where_it_was(busy):
    def read(seen: str | None) -> tuple[list[str], str]:
        headers = {"Authorization": f"Bearer {busy.token}", **({"Last-Event-ID": seen} if seen else {})}
        request = urllib.request.Request(f"http://{busy.http_address}/api/v1/events?topics=executors", headers=headers)
        names, last = [], ""
        with urllib.request.urlopen(request, timeout=20) as stream:
            for line in stream:
                name, _, value = line.decode().strip().partition(": ")
                if name == "event":
                    names.append(value)
                elif name == "id":
                    last = value
                elif not name and last:
                    return names, last
        raise AssertionError("the stream has ended")

    names, last = read(None)
    assert names == ["executors", "tick"], "at first all of it, closed by a tick"
    run, tick = last.split("-")
    assert read(f"{run}-{int(tick) + 1_000_000}")[0] == ["tick"], "what was read does not come again"
    assert read(f"{int(run) - 1}-{tick}")[0] == ["executors", "tick"], "of another run nothing was read"


def test_pages_live_on_while_executors_and_the_coordinator_die():
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("steady", udf(noisy, BIGINT, BIGINT))
        tab = Browser(f"http://{fleet.http_address}")
        try:
            tab.log_in(fleet.token or "")
            tab.open(path="/executors")
            tab.wait(selector="tbody", text="executor-2")
            os.kill(fleet.pids["executor-2"], signal.SIGKILL)
            tab.wait(selector="tbody", text="lost")
            tab.click(selector="nav a[href='/events']")
            tab.wait(selector=".events", text="executor-2 has been silent")
            tab.click(selector="nav a[href='/why']")
            tab.wait(selector=".why", text="LOST")
            nothing_wrong(tab)

            processes = fleet._processes
            coordinator = next(child for child in processes.children if child.name == "coordinator")
            os.kill(coordinator.pid, signal.SIGKILL)
            tab.wait(selector=".banner", text="Trying again")
            coordinator.reap()
            processes.children.remove(coordinator)
            processes._start_coordinator(processes.address, processes.http_address, None)
            # The session goes on too: nobody has to log in again.
            tab.wait(selector=".asof", text="live")
            tab.click(selector="nav a[href='/functions']")
            tab.wait(selector="tbody", text="ready")
            eventually("calls go on", lambda: fleet.call("steady", [1]).to_pylist() == [1])
            assert tab.problems()["problems"] == []

            fleet.drop_function("steady")
            tab.wait(selector="main", text="No function is registered yet")
            fleet.register_function("failing", udf(failing, BIGINT, BIGINT))
            tab.click(selector="nav a[href='/errors']")
            tab.wait(selector="main", text="Nothing has failed")
            with pytest.raises(udfleet.UserCodeError):
                fleet.call("failing", [1])
            tab.wait(selector="main", text="failing@1")
            assert tab.problems()["problems"] == []
        finally:
            tab.close()
