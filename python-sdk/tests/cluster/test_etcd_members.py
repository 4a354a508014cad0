"""Members of etcd die: one of three, two, all; and history is compacted that a coordinator has not seen."""

from __future__ import annotations

import time

from cluster_fleet import COORDINATORS, ETCD
from cluster_programs import eventually
from cluster_workload import BIGINT

from udfleet import udf

AWAY_SECONDS = 30.0
COMPACTED = "has forgotten what came meanwhile"
NOT_WITHOUT_ETCD = ("registrations",)


def stored(cluster):
    """Whether each coordinator says that its store answers."""
    return all(cluster.get(name, "/readyz") == "ready\n" for name in COORDINATORS)


def test_one_dies(cluster, workload):
    with workload() as load:
        for member in cluster.etcd.members:
            member.kill()
            load.goes_on()
            cluster.restart(member)
            eventually("etcd is whole", cluster.etcd.healthy)
        load.goes_on()
        cluster.wait_whole()


def test_two_die(cluster, workload):
    with workload() as load:
        for member in cluster.etcd.members[:2]:
            member.kill()
        refused = load.refused()
        assert refused["retryable"], refused
        eventually("they say so", lambda: not stored(cluster))
        load.goes_on(without=NOT_WITHOUT_ETCD)
        cluster.restart(cluster.etcd.members[0])
        eventually("the store is back", lambda: stored(cluster))
        load.goes_on()
        cluster.restart(cluster.etcd.members[1])


def test_all_are_away_for_30_seconds(cluster, workload):
    with workload() as load:
        begun = time.monotonic()
        for member in cluster.etcd.members:
            member.kill()
        refused = load.refused()
        assert refused["retryable"], refused
        eventually("nobody leads", lambda: not any(map(cluster.term, COORDINATORS)))
        while time.monotonic() < begun + AWAY_SECONDS:
            load.goes_on(without=NOT_WITHOUT_ETCD)
        for member in cluster.etcd.members:
            cluster.restart(member)
        eventually("the store is back", lambda: stored(cluster))
        cluster.wait_whole()
        load.goes_on()


def test_history_is_compacted_under_a_watcher_that_sleeps(cluster, workload):
    with workload() as load:
        follower = cluster.follower()
        log = cluster.coordinators[follower].log
        before = log.read_text().count(COMPACTED)
        for member in ETCD:
            cluster.network.cut(follower, member)
        eventually("it knows that it hears nothing", lambda: cluster.get(follower, "/readyz") != "ready\n")
        # What it does not hear of: registrations, drops, leases.
        load.goes_on(without=NOT_WITHOUT_ETCD)
        with cluster.client(cluster.wait_leader()[0]) as client:
            client.register_function("missed", udf(lambda a: a, BIGINT, BIGINT))
        cluster.etcd.compact()
        cluster.network.heal()
        eventually("it has missed something", lambda: log.read_text().count(COMPACTED) > before)
        eventually("it learns of it", lambda: "missed@1" in cluster.functions_at(follower))
        cluster.wait_whole()
        load.goes_on()
