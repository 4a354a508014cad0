"""Parts of the network fail: nobody flaps, and each coordinator's routes tell what it can reach."""

from __future__ import annotations

import pytest
from cluster_fleet import COORDINATORS, ETCD, EXECUTORS
from cluster_history import GONE, flaps
from cluster_programs import eventually


def lost(load, coordinator):
    """How often a coordinator has lost each executor."""
    return {name: flaps(load.events, coordinator, name) for name in EXECUTORS}


NONE_LOST = dict.fromkeys(EXECUTORS, 0)


def can_call(cluster, coordinator):
    with cluster.client(coordinator, direct=False) as client:
        return client.call("double", [4]).to_pylist() == [8]


def test_the_leader_is_cut_off_from_etcd(cluster, workload):
    with workload() as load:
        leader, term = cluster.wait_leader()
        other = cluster.follower()
        for member in ETCD:
            cluster.network.cut(leader, member)
        _, next_term = cluster.wait_leader((other,))
        assert next_term > term
        eventually("it has stepped down", lambda: not cluster.term(leader))
        assert can_call(cluster, leader), "it goes on routing"
        load.goes_on()
        cluster.network.heal()
        cluster.wait_whole()
        load.goes_on()
        assert cluster.wait_leader() == (other, next_term)
    assert {name: lost(load, name) for name in COORDINATORS} == dict.fromkeys(COORDINATORS, NONE_LOST)


def test_the_leader_is_cut_off_from_executors(cluster, workload):
    with workload() as load:
        leader, _ = cluster.wait_leader()
        other = cluster.follower()
        for name in EXECUTORS:
            cluster.network.cut(leader, name)
        eventually("it says what it can't reach", lambda: set(cluster.states(leader).values()) <= GONE)
        load.goes_on()
        assert cluster.states(other) == dict.fromkeys(EXECUTORS, "ready")
        cluster.network.heal()
        cluster.wait_whole()
        load.goes_on()
    assert lost(load, other) == NONE_LOST
    assert lost(load, leader) == dict.fromkeys(EXECUTORS, 1)


@pytest.mark.parametrize("ways", ["both ways", "from it", "to it"])
@pytest.mark.parametrize("who", ["the leader", "the follower"])
def test_an_executor_is_cut_off_from(cluster, workload, who, ways):
    with workload() as load:
        leader, term = cluster.wait_leader()
        one = leader if who == "the leader" else cluster.follower()
        other = next(name for name in COORDINATORS if name != one)
        epoch = cluster.executors_at(other)["e1"][1]
        if ways != "to it":
            cluster.network.cut_one_way("e1", one)
        if ways != "from it":
            cluster.network.cut_one_way(one, "e1")
        eventually("it says so", lambda: cluster.states(one).get("e1") in GONE)
        load.goes_on()
        assert cluster.states(other)["e1"] == "ready"
        cluster.network.heal()
        cluster.wait_whole()
        load.goes_on()
        assert cluster.wait_leader() == (leader, term), "the leader was not disturbed"
        assert cluster.executors_at(one)["e1"] == ("ready", epoch), "it is the same process"
    assert lost(load, other) == NONE_LOST
    assert lost(load, one) == {**NONE_LOST, "e1": 1}
