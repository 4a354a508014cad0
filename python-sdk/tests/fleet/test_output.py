"""What functions print: kept per function, readable, bounded, and never in the way."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from fleet_support import BIGINT, STRING, eventually

import udfleet
from udfleet import udf

MIB = 1 << 20


def prints(text):
    import os
    import sys

    print("out:", text)
    print("err:", text, file=sys.stderr)
    os.write(1, f"raw: {text}\n".encode())
    return os.getpid()


@pytest.fixture(scope="module")
def talking(fleet):
    for name in ("talks", "talks_too"):
        fleet.register_function(name, udf(prints, STRING, BIGINT))


def said(fleet, name, **options):
    return [(line.function, line.stream, line.text) for line in fleet.logs(name, **options)]


def test_per_function_and_stream(fleet, talking):
    pids = fleet.call("talks", ["first"]).to_pylist() + fleet.call("talks_too", ["second"]).to_pylist()
    expected = [
        ("talks@1", "stderr", "err: first"),
        ("talks@1", "stdout", "out: first"),
        ("talks@1", "stdout", "raw: first"),
    ]
    eventually("the lines arrive", lambda: sorted(said(fleet, "talks")) == expected)
    eventually("the others too", lambda: len(said(fleet, "talks_too")) == 3)
    assert {text for _, _, text in said(fleet, "talks_too@1")} == {"err: second", "out: second", "raw: second"}
    assert {line.pid for line in fleet.logs("talks")} == {pids[0]}
    assert {line.executor for line in fleet.logs("talks")} <= {"executor-1", "executor-2"}
    assert {"talks@1", "talks_too@1"} <= {function for function, _, _ in said(fleet, "")}


def test_the_newest_lines(fleet):
    fleet.register_function("counts", udf(lambda a: [print(i) for i in range(a)] and a, BIGINT, BIGINT))
    fleet.call("counts", [100])
    eventually("all lines", lambda: len(said(fleet, "counts")) == 100)
    assert [text for _, _, text in said(fleet, "counts", tail=3)] == ["97", "98", "99"]


def test_following(fleet):
    fleet.register_function("followed", udf(prints, STRING, BIGINT))
    fleet.call("followed", ["first"])
    eventually("lines are kept", lambda: len(said(fleet, "followed")) == 3)
    lines = fleet.logs("followed", tail=1, follow=True)
    assert next(lines).function == "followed@1"
    fleet.call("followed", ["later"])
    seen = [next(lines).text]
    while "out: later" not in seen:
        seen.append(next(lines).text)
    lines.close()


def test_what_the_crashed_say(fleet):
    def dies(a):
        import os
        import sys

        print("last words", file=sys.stderr, flush=True)
        os._exit(1)

    fleet.register_function("says_last_words", udf(dies, BIGINT, BIGINT), config={"udfleet.retry.max-attempts": 1})
    with pytest.raises(udfleet.InterpreterCrashedError) as caught:
        fleet.call("says_last_words", [1])
    assert "last words" in caught.value.exit.last_stderr
    eventually(
        "kept after the crash", lambda: ("says_last_words@1", "stderr", "last words") in said(fleet, "says_last_words")
    )


def rss(pid):
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) << 10


def test_a_flood_blocks_nothing_and_is_bounded(fleet):
    def floods(mib):
        line = "x" * 1023
        for _ in range(mib * 1024):
            print(line)
        print("the end")
        return mib

    fleet.register_function("floods", udf(floods, BIGINT, BIGINT))
    fleet.register_function("calm", udf(lambda a: a, BIGINT, BIGINT))
    executors = [pid for name, pid in fleet.pids.items() if name.startswith("executor")]
    before = {pid: rss(pid) for pid in executors}
    start = time.monotonic()
    answers = fleet.stream("floods", _batches([50, 50]))
    assert fleet.call("calm", [7]).to_pylist() == [7]
    assert [answer.column(0).to_pylist() for answer in answers] == [[50], [50]]
    assert time.monotonic() - start < 30
    eventually("its end is kept", lambda: [t for _, _, t in said(fleet, "floods", tail=1)][-1:] == ["the end"])
    kept = sum(len(text) for _, _, text in said(fleet, "floods"))
    assert 100_000 < kept < 2 * MIB, "the newest part of 100 MiB"
    assert all(rss(pid) - before[pid] < 40 * MIB for pid in executors)


def test_line_ends_alone_keep_no_other_call_waiting(fleet):
    def breaks(mib):
        import os

        for _ in range(mib):
            os.write(2, b"\n" * MIB)
        return mib

    fleet.register_function("breaks", udf(breaks, BIGINT, BIGINT))
    fleet.register_function("calm_beside", udf(lambda a: a, BIGINT, BIGINT))
    answers = fleet.stream("breaks", _batches([60]))
    start, calls = time.monotonic(), 0
    while time.monotonic() - start < 2 or calls < 20:
        assert fleet.call("calm_beside", [7]).to_pylist() == [7]
        calls += 1
    assert [answer.column(0).to_pylist() for answer in answers] == [[60]]
    assert all(executor.state == "ready" for executor in fleet.executors())
    assert time.monotonic() - start < 20, "once they kept other calls waiting for as long"


def test_a_line_without_end(fleet):
    def endless(mib):
        import sys

        for _ in range(mib):
            sys.stdout.write("y" * (1 << 20))
        sys.stdout.flush()
        return mib

    fleet.register_function("endless_line", udf(endless, BIGINT, BIGINT))
    assert fleet.call("endless_line", [20]).to_pylist() == [20]
    eventually("it is kept in parts", lambda: said(fleet, "endless_line"))
    assert all(len(text) <= 16 << 10 for _, _, text in said(fleet, "endless_line"))


def _batches(values):
    import pyarrow as pa

    return [pa.record_batch({"a": pa.array([value], pa.int64())}) for value in values]


def test_a_function_that_closes_its_streams():
    """In a fleet of its own: they are those of its neighbours too."""

    def closes(a):
        sys.stdout.close()
        sys.stderr.close()
        return a

    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("closes", udf(closes, BIGINT, BIGINT))
        assert fleet.call("closes", [1]).to_pylist() == [1]
        assert fleet.call("closes", [2]).to_pylist() == [2]
        fleet.register_function("prints", udf(prints, STRING, BIGINT))
        fleet.call("prints", ["hello"])
        eventually("all its lines", lambda: len(said(fleet, "prints")) == 3)
