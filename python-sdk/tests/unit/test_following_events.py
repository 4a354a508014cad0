"""`events --follow` where coordinators number events differently, and what it asks for."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest

from udfleet.cli import why
from udfleet.errors import UnreachableError

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def event(number: int, second: int) -> dict[str, Any]:
    return {"id": number, "time": START + datetime.timedelta(seconds=second), "message": f"at {second}"}


class Fleet:
    """One coordinator answers; a test says which."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.away = False
        self.asked: list[str] = []

    def system_table(self, name: str) -> pa.Table:
        if self.away:
            raise UnreachableError("away")
        self.asked.append(name)
        after = int(name.partition("after=")[2] or 0)
        assert after >= 0
        schema = pa.schema([("id", pa.int64()), ("time", pa.timestamp("ms", "UTC")), ("message", pa.string())])
        return pa.Table.from_pylist([row for row in self.events if row["id"] > after], schema)


def seconds(rows: list[dict[str, Any]]) -> list[int]:
    return [int((row["time"] - START).total_seconds()) for row in rows]


def test_without_news_one_event_is_asked_for():
    fleet = Fleet([event(number, number) for number in range(1, 100)])
    followed = why._Followed(fleet)
    assert len(followed.news()) == 99
    fleet.asked.clear()
    assert [followed.news() for _ in range(3)] == [[], [], []]
    assert fleet.asked == ["events?after=98"] * 3
    fleet.events.append(event(100, 100))
    assert seconds(followed.news()) == [100]
    assert fleet.asked[-1] == "events?after=98"


@pytest.mark.parametrize("first", [1, 8, 50], ids=["fewer", "the same numbers", "more"])
def test_another_coordinator_counts_differently(first):
    fleet = Fleet([event(number, number) for number in range(1, 10)])
    followed = why._Followed(fleet)
    followed.news()
    fleet.events = [event(first + index, second) for index, second in enumerate([7, 8, 9, 10, 11])]
    assert seconds(followed.news()) == [10, 11]
    fleet.asked.clear()
    assert followed.news() == []
    assert fleet.asked == [f"events?after={first + 3}"], "its numbers are known now"
    fleet.events.append(event(first + 5, 12))
    assert seconds(followed.news()) == [12]


def test_a_coordinator_that_lags_is_followed_and_nothing_is_told_twice():
    mine = [event(number, number) for number in range(1, 10)]
    fleet = Fleet(mine)
    followed = why._Followed(fleet)
    followed.news()
    fleet.events = [event(31, 3)]
    assert followed.news() == []
    fleet.events = [*mine, event(10, 10)]
    assert seconds(followed.news()) == [10]


def test_nothing_is_lost_while_nobody_answers(monkeypatch):
    fleet = Fleet([])
    batches = why._batches(fleet, follow=True)
    assert next(batches) == []
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        fleet.away = len(rests) < 3
        fleet.events = [event(1, 1)]

    monkeypatch.setattr(why.time, "sleep", rest)
    assert seconds(next(batches)) == [1]
    assert len(rests) == 3
