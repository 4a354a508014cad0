"""What clients and observers have seen, and whether a correct fleet can have shown them that. Knows nothing of faults.

Events are plain dictionaries, one line of JSON each. `op` says what an event is about:

* `stream`: a long stream. `begin`; `batch` with the numbers `first` to `first + rows - 1`, if they came in order (`ordered`);
  `ok` with the `rows` that were sent; `failed`.
* `call`: one call of a deterministic function. `begin`, `ok` with whether the result was `right`, `failed`.
* `effect`: one call of a function that must run once for each row, with the ids of its `rows`.
* `register`, `drop`: of the function `name`.
* `seen`: what a coordinator says of who leads (`term`, 0 where it does not) and of executors (state, epoch).
* `final`: which functions a coordinator has in the end (`functions`, state by `name@version`), and what calls of them through
  it gave (`calls`, whether right by name).
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]

ALWAYS_WORK = frozenset({"stream", "call"})
"""Operations that may never fail: they can be sent again."""

GONE = frozenset({"lost", "unreachable"})
"""States of an executor that a coordinator does not route to, although nobody has asked for that."""


class Recorder:
    """Takes events from any thread, and writes each as a line."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a")
        self.events: list[Event] = []

    def add(self, op: str, **event: Any) -> None:
        """Adds an event that happens now."""
        whole = {"at": round(time.monotonic(), 4), "op": op, **event}
        with self._lock:
            if self._file.closed:
                # A thread that a failed test has left behind.
                return
            self.events.append(whole)
            self._file.write(json.dumps(whole) + "\n")

    def close(self) -> None:
        """Takes nothing more."""
        with self._lock:
            self._file.close()


def violations(events: Iterable[Event], effects: Iterable[str], strict: Iterable[str] = ALWAYS_WORK) -> list[str]:
    """What can't have come from a correct fleet.

    :param effects: the ids of rows that functions have run for, once for each time.
    :param strict: operations that may not fail.
    """
    events = list(events)
    by_op: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_op[event["op"]].append(event)
    found = _outcomes(events)
    found += [
        f"{event['op']} {event['id']} failed: {event['error']}"
        for op in strict
        for event in by_op[op]
        if event["event"] == "failed"
    ]
    found += _streams(by_op["stream"])
    found += [f"call {e['id']} gave a wrong result" for e in by_op["call"] if e["event"] == "ok" and not e["right"]]
    found += _effects(by_op["effect"], Counter(effects))
    found += _leaders(by_op["seen"])
    found += _epochs(by_op["seen"])
    found += _registrations([e for e in events if e["op"] in ("register", "drop")], by_op["final"])
    return found


def _outcomes(events: list[Event]) -> list[str]:
    """Each operation has one outcome."""
    begun = Counter((e["op"], e["id"]) for e in events if e.get("event") == "begin")
    ended = Counter((e["op"], e["id"]) for e in events if e.get("event") in ("ok", "failed"))
    found = [f"{op} {key} has {ended[op, key]} outcomes" for op, key in begun if ended[op, key] != 1]
    return found + [f"{op} {key} ended and never began" for op, key in ended if not begun[op, key]]


def _streams(events: list[Event]) -> list[str]:
    """Rows are complete, once and in order."""
    found = []
    expected: Counter[str] = Counter()
    for event in events:
        key = event["id"]
        if event["event"] == "batch":
            if event["first"] != expected[key] or not event["ordered"]:
                found.append(f"stream {key}: row {event['first']} came where {expected[key]} was to come")
            expected[key] = event["first"] + event["rows"]
        elif event["event"] == "ok" and event["rows"] != expected[key]:
            found.append(f"stream {key}: {expected[key]} rows came, {event['rows']} were sent")
    return found


def _effects(events: list[Event], ran: Counter[str]) -> list[str]:
    """What must run once runs once where the call succeeds, not at all where the error says so, else at most once."""
    found = [f"row {row} ran {times} times" for row, times in ran.items() if times > 1]
    rows = {event["id"]: event["rows"] for event in events if event["event"] == "begin"}
    for event in events:
        if event["event"] == "ok":
            found += [f"row {row} never ran, its call succeeded" for row in rows[event["id"]] if not ran[row]]
        if event["event"] == "failed" and event["untouched"]:
            found += [f"row {row} ran, its call's error denies it" for row in rows[event["id"]] if ran[row]]
    return found


def _leaders(events: list[Event]) -> list[str]:
    """One leader per term; terms grow."""
    found = []
    leader: dict[int, str] = {}
    latest: Counter[str] = Counter()
    for event in events:
        who, term = event["coordinator"], event["term"]
        if not term:
            continue
        if leader.setdefault(term, who) != who:
            found.append(f"{who} and {leader[term]} led in term {term}")
        if term < latest[who]:
            found.append(f"{who} led in term {term} after term {latest[who]}")
        latest[who] = max(latest[who], term)
    return found


def _epochs(events: list[Event]) -> list[str]:
    """An executor's epoch never falls, as any one coordinator sees it."""
    found = []
    latest: Counter[tuple[str, str]] = Counter()
    for event in events:
        for executor, (_, epoch) in event["executors"].items():
            key = event["coordinator"], executor
            # 0: it is attached to others only, since the coordinator has started.
            if epoch and epoch < latest[key]:
                found.append(f"{event['coordinator']} saw epoch {epoch} of {executor} after {latest[key]}")
            latest[key] = max(latest[key], epoch)
    return found


def _registrations(events: list[Event], finals: list[Event]) -> list[str]:
    """What was acknowledged is everywhere and can be called; what failed is whole or not there; what was dropped is gone."""
    found = [
        f"{e['op']} {e['id']} failed for good: {e['error']}"
        for e in events
        if e["event"] == "failed" and not e["retryable"]
    ]
    wanted: dict[str, bool | None] = {}
    for event in events:
        name, ok = event["name"], event["event"] == "ok"
        if event["op"] == "register":
            wanted[name] = True if ok else None
        else:
            wanted[name] = False if ok else None
    for final in finals:
        present: dict[str, list[str]] = defaultdict(list)
        for reference, state in final["functions"].items():
            present[reference.partition("@")[0]].append(state)
        for name, wants in wanted.items():
            states, where = present.get(name, []), final["coordinator"]
            if wants and not states:
                found.append(f"{name} was registered, {where} does not have it")
            if wants is False and states:
                found.append(f"{name} was dropped, {where} has it")
            if len(states) > 1:
                found.append(f"{where} has {len(states)} versions of {name}")
            if states and (states != ["READY"] or not final["calls"].get(name)):
                found.append(f"{where} has {name}, which is {states} and called {final['calls'].get(name)}")
    everywhere = {frozenset(final["functions"]) for final in finals}
    if len(everywhere) > 1:
        found.append(f"coordinators have different functions: {sorted(map(sorted, everywhere))}")
    return found


def flaps(events: Iterable[Event], coordinator: str, executor: str) -> int:
    """How often a coordinator has lost an executor."""
    seen = [e["executors"][executor][0] for e in events if _tells_of(e, coordinator, executor)]
    return sum(before == "ready" and after in GONE for before, after in zip(seen, seen[1:], strict=False))


def _tells_of(event: Event, coordinator: str, executor: str) -> bool:
    return event["op"] == "seen" and event["coordinator"] == coordinator and executor in event["executors"]


def longest_gaps(events: Iterable[Event], *ops: str) -> dict[str, float]:
    """The longest time in seconds for which each worker of these kinds had no success."""
    gaps, latest = dict[str, float](), dict[str, float]()
    for event in events:
        if event["op"] not in ops or event["event"] not in ("begin", "batch", "ok"):
            continue
        worker = event["worker"]
        if event["event"] != "begin":
            gaps[worker] = max(gaps.get(worker, 0.0), event["at"] - latest.get(worker, event["at"]))
            latest[worker] = event["at"]
        latest.setdefault(worker, event["at"])
    return gaps


def longest_gap(events: Iterable[Event], op: str) -> float:
    """The longest of them."""
    return max(longest_gaps(events, op).values(), default=0.0)
