"""The checker of the tests in tests/cluster finds what it is there to find."""

from __future__ import annotations

import pytest
from cluster_history import Recorder, flaps, longest_gap, violations


def operation(op, key, outcome="ok", begin=None, **end):
    """Begin and outcome of one operation."""
    return [
        {"at": 1.0, "op": op, "id": key, "worker": "w", "event": "begin", **(begin or {})},
        {"at": 2.0, "op": op, "id": key, "worker": "w", "event": outcome, **(begin or {}), **end},
    ]


def batch(first, rows=5, ordered=True):
    return {"at": 1.5, "op": "stream", "id": "s", "worker": "w", "event": "batch", "first": first, "rows": rows} | {
        "ordered": ordered
    }


def stream(*batches, rows):
    begin, end = operation("stream", "s", rows=rows)
    return [begin, *batches, end]


def seen(coordinator="c1", term=0, **executors):
    return {"at": 1.0, "op": "seen", "worker": "o", "coordinator": coordinator, "term": term, "executors": executors}


def registered(outcome="ok", name="f", **end):
    return operation("register", name, outcome, {"name": name}, **end)


def final(functions, calls=None, coordinator="c1"):
    found = {name.partition("@")[0]: True for name in functions} if calls is None else calls
    return {"op": "final", "coordinator": coordinator, "functions": functions, "calls": found}


FAILED = {"error": "E: away", "retryable": True, "untouched": False}

RIGHT = [
    ([], []),
    (operation("call", "c", right=True), []),
    (stream(batch(0), batch(5), rows=10), []),
    (operation("effect", "e", begin={"rows": ["r1", "r2"]}), ["r1", "r2"]),
    (operation("effect", "e", "failed", {"rows": ["r1", "r2"]}, **FAILED), ["r1"]),
    ([seen(term=3), seen("c2", 5), seen(term=0), seen(term=9)], []),
    ([seen(e1=("ready", 2)), seen(e1=("unreachable", 0)), seen(e1=("ready", 2))], []),
    ([seen(e1=("ready", 1)), seen(e1=("lost", 1)), seen(e1=("ready", 2)), seen("c2", e1=("ready", 1))], []),
    ([*registered(), final({"f@1": "READY"}), final({"f@1": "READY"}, coordinator="c2")], []),
    ([*registered("failed", **FAILED), final({})], []),
    ([*registered("failed", **FAILED), final({"f@1": "READY"})], []),
    ([*registered(), *operation("drop", "d", begin={"name": "f"}), final({})], []),
]

WRONG = [
    ("two outcomes", [*operation("call", "c", right=True), operation("call", "c", right=True)[1]], []),
    ("no outcome", operation("call", "c", right=True)[:1], []),
    ("an outcome of nothing", operation("call", "c", right=True)[1:], []),
    ("a call that may not fail", operation("call", "c", "failed", **FAILED), []),
    ("a wrong result", operation("call", "c", right=False), []),
    ("a batch is missing", stream(batch(0), batch(10), rows=15), []),
    ("a batch came twice", stream(batch(0), batch(0), batch(5), rows=10), []),
    ("batches changed places", stream(batch(5), batch(0), rows=10), []),
    ("rows changed places", stream(batch(0, ordered=False), rows=5), []),
    ("the end is missing", stream(batch(0), rows=10), []),
    ("a row ran twice", operation("effect", "e", begin={"rows": ["r1"]}), ["r1", "r1"]),
    ("a row never ran", operation("effect", "e", begin={"rows": ["r1"]}), []),
    (
        "an error denies what ran",
        operation("effect", "e", "failed", {"rows": ["r"]}, **FAILED | {"untouched": True}),
        ["r"],
    ),
    ("two led in one term", [seen(term=3), seen("c2", 3)], []),
    ("terms fall", [seen(term=5), seen(term=3)], []),
    ("epochs fall", [seen(e1=("ready", 2)), seen(e1=("ready", 1))], []),
    ("a registration is lost", [*registered(), final({})], []),
    ("it is lost at one", [*registered(), final({"f@1": "READY"}), final({}, coordinator="c2")], []),
    ("it is there and can't be called", [*registered(), final({"f@1": "READY"}, {"f": False})], []),
    ("half of it is there", [*registered("failed", **FAILED), final({"f@1": "LOADING"})], []),
    ("it is there twice", [*registered(), final({"f@1": "READY", "f@2": "READY"})], []),
    ("it fails for good", [*registered("failed", **FAILED | {"retryable": False}), final({})], []),
    (
        "what was dropped is there",
        [*registered(), *operation("drop", "d", begin={"name": "f"}), final({"f@1": "READY"})],
        [],
    ),
    ("they differ", [*registered("failed", **FAILED), final({}), final({"f@1": "READY"}, coordinator="c2")], []),
]


@pytest.mark.parametrize(("events", "effects"), RIGHT)
def test_what_is_right_passes(events, effects):
    assert violations(events, effects) == []


@pytest.mark.parametrize(("events", "effects"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_found(events, effects):
    assert violations(events, effects)


def test_calls_may_fail_where_that_is_said():
    assert violations(operation("call", "c", "failed", **FAILED), [], strict=()) == []
    assert violations(operation("effect", "c", "failed", {"rows": []}, **FAILED), [], strict=("effect",))


def test_losses_of_an_executor_are_counted():
    events = [seen(e1=(state, 1)) for state in ("ready", "lost", "lost", "ready", "draining", "ready", "lost")]
    assert flaps(events, "c1", "e1") == 2
    assert flaps(events, "c2", "e1") == 0


def test_the_longest_pause():
    events = [
        {"op": "call", "worker": "w", "event": kind, "at": at} for kind, at in (("begin", 0), ("ok", 1), ("ok", 4))
    ]
    assert longest_gap(events, "call") == 3


def test_the_recorder_writes_lines_until_it_is_closed(tmp_path):
    recorder = Recorder(tmp_path / "history")
    recorder.add("seen", term=3)
    recorder.close()
    recorder.add("seen", term=4)
    assert [event["term"] for event in recorder.events] == [3]
    assert (tmp_path / "history").read_text().count("\n") == 1
