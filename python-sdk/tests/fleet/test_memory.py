"""An interpreter takes more memory than it may: killed, replaced, and told with the figures."""

from __future__ import annotations

import os
import sys

import pyarrow as pa
import pytest
from fleet_support import BIGINT, failure_of, lines_of

import udfleet
from udfleet import udf

MIB = 1 << 20
LIMIT = 200 * MIB


def hoard(mib, marker):
    """Holds that much memory until it is ended; `marker` counts the tries."""
    import os
    import time

    if mib:
        with open(marker, "a") as file:
            file.write(f"{os.getpid()}\n")
        held = bytearray(os.urandom(1 << 20)) * mib
        time.sleep(600)
        return len(held)
    return os.getpid()


@pytest.fixture(scope="module")
def small():
    """A fleet of one executor, so that its share of the memory is known."""
    with udfleet.local(executors=1, interpreters=1) as fleet:
        yield fleet


def test_beyond_the_limit(small, tmp_path):
    view = small.register_function(
        "hoard", udf(hoard, [BIGINT, "STRING"], BIGINT), config={"udfleet.memory.limit": "200 MiB"}
    )
    marker = tmp_path / "pids"
    error = failure_of(udfleet.MemoryExceededError, small.call, "hoard", 400, [str(marker)])
    assert (error.code, error.function, error.executor) == ("MEMORY_EXCEEDED", view.reference, "executor-1")
    assert error.exit.memory_limit_bytes == LIMIT < error.exit.peak_rss_bytes
    assert error.attempt == len(lines_of(marker)) and error.attempt <= 3
    assert "more than its limit of 200 MiB, and was killed" in str(error)
    assert "udfleet.memory.limit" in error.hint
    pids = set(map(int, lines_of(marker)))
    assert small.call("hoard", 0, ["-"]).to_pylist()[0] not in pids, "replaced"


def test_a_size_that_is_none_is_refused(small):
    error = failure_of(
        udfleet.InvalidConfigError,
        small.register_function,
        "hoard2",
        udf(hoard, [BIGINT, "STRING"], BIGINT),
        config={"udfleet.memory.limit": "plenty"},
    )
    assert 'config key "udfleet.memory.limit" is "plenty", expected bytes with an optional unit' in str(error)


@pytest.fixture(scope="module")
def poor():
    """An executor whose budget of 400 MiB two interpreters share."""
    asked, given = os.sysconf, {"SC_PHYS_PAGES": 500 * MIB // os.sysconf("SC_PAGE_SIZE")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sysconf", lambda name: given.get(name) or asked(name))
        fleet = udfleet.local(executors=1, interpreters=2)
    with fleet:
        yield fleet


def test_beyond_its_share(poor, tmp_path):
    poor.register_function("takes", udf(hoard, [BIGINT, "STRING"], BIGINT), config={"udfleet.retry.max-attempts": 1})
    error = failure_of(udfleet.MemoryExceededError, poor.call, "takes", 350, [str(tmp_path / "pids")])
    assert error.exit.memory_limit_bytes == 200 * MIB and error.attempt == 1
    assert "more than its limit of 200 MiB" in str(error) and "the executor's memory" in error.hint


def holds(mib):
    """As much memory for a moment that is long enough to be measured."""
    import time

    held = bytearray(b"x" * (1 << 20)) * mib
    time.sleep(0.5)
    return len(held) >> 20


def test_unmanaged_memory_has_no_limit(poor):
    (poor_environment,) = {view.environment for view in poor.functions()} or {None}
    with_limit = udf(holds, BIGINT, BIGINT)
    environment = udfleet.Environment(python=".".join(map(str, sys.version_info[:3])))
    view = poor.register_function(
        "free", with_limit, environment, config={"python.fn-execution.memory.managed": "false"}
    )
    assert view.environment != poor_environment
    assert poor.call("free", [350]).to_pylist() == [350]
    assert poor.progress("free").total.peak_memory_bytes > 350 * MIB


KEPT = []


def keeps(column):
    """Refers to every batch for ever: the shared memory that carried it can't be used again."""
    KEPT.append(column)
    return column


def test_batches_that_a_function_keeps_count(small):
    function = udf(keeps, BIGINT, BIGINT, func_type="arrow")
    config = {"udfleet.memory.limit": "300 MiB", "udfleet.retry.max-attempts": 1}
    small.register_function("keeps", function, config=config)
    batch = pa.record_batch({"x": pa.array(range(500_000))})
    with pytest.raises(udfleet.MemoryExceededError) as caught:
        for _ in small.stream("keeps", (batch for _ in range(500))):
            pass
    assert caught.value.exit.memory_limit_bytes == 300 << 20


def remembers(column):
    """Keeps its first argument; fails at first, then gives a result that outgrows its input."""
    KEPT.append(column)
    if len(KEPT) == 1:
        raise ValueError("no " * 10_000)
    return pa.array([" ".join(map(str, KEPT[0].to_pylist())) * 1000] * len(column))


def test_batches_that_a_function_keeps_stay_what_they_were(small):
    small.register_function("remembers", udf(remembers, BIGINT, "STRING", func_type="arrow"))
    failure_of(udfleet.UserCodeError, small.call, "remembers", [1, 2, 3])
    for other in range(4, 8):
        assert small.call("remembers", [other] * 3).to_pylist() == ["1 2 3" * 1000] * 3
