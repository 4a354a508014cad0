"""The leader stands still for longer than its lease, and wakes up as if nothing had been."""

from __future__ import annotations

from cluster_history import longest_gap
from cluster_programs import eventually

NOTICED_WITHIN = 25.0
"""Seconds after which a stream leaves a coordinator that stands still: 10 on a quiet machine."""


def loads(cluster):
    """How often executors have begun to load `double`, which is registered once."""
    logs = [program.log.read_text() for program in cluster.executors.values()]
    return sum("double@" in line and "LOADING" in line for log in logs for line in log.splitlines())


def test_it_follows_when_it_wakes(cluster, workload):
    before = loads(cluster)
    assert before, "the executors' logs tell of loads"
    with workload() as load:
        leader, term = cluster.wait_leader()
        other = cluster.follower()
        cluster.coordinators[leader].pause()
        _, next_term = cluster.wait_leader((other,))
        assert next_term > term
        load.goes_on()
        cluster.coordinators[leader].resume()
        eventually("it has stepped down", lambda: cluster.states(leader) and not cluster.term(leader))
        cluster.wait_whole()
        load.goes_on()
        assert cluster.wait_leader() == (other, next_term), "the new leader was not disturbed"
    assert loads(cluster) == before, "nothing was moved"
    gap = longest_gap(load.events, "stream")
    print(f"longest time without a batch: {gap:.1f} s")
    assert gap < NOTICED_WITHIN
