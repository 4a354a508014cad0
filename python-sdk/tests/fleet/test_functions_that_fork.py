"""Functions that fork: their children end by themselves, and other functions never notice."""

from __future__ import annotations

from fleet_support import BIGINT

from udfleet import udf


def forking(x):
    import os
    import sys

    if os.fork() == 0:
        sys.exit(0)
    return x


def returning(x):
    import os

    pid = os.fork()
    if pid == 0:
        return x
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def pooled(x):
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(abs, range(x)))


def plain(x):
    return x + 1


def test_children_end_by_themselves(fleet):
    for function in [forking, returning, pooled, plain]:
        fleet.register_function(function.__name__, udf(function, BIGINT, BIGINT))
    for _ in range(3):
        assert fleet.call("forking", [1, 2, 3]).to_pylist() == [1, 2, 3]
        assert fleet.call("returning", list(range(20))).to_pylist() == [0] * 20
        assert fleet.call("pooled", [3, 4]).to_pylist() == [3, 6]
        assert fleet.call("plain", [1, 2]).to_pylist() == [2, 3]
