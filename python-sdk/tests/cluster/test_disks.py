"""Where artifacts are kept is away or full, an executor's disk is full, etcd's is slow: what runs goes on."""

from __future__ import annotations

import contextlib
import random

import cluster_disks
import pytest
from cluster_fleet import COORDINATORS, EXECUTORS
from cluster_programs import eventually
from cluster_workload import BIGINT

from udfleet import udf

NOT_WITHOUT_ARTIFACTS = ("registrations",)
WRITES_PER_SECOND = 60
"""Of all members together: each fsync takes about a tenth of a second then."""


@pytest.mark.skipif(bool(cluster_disks.cannot_be_away()), reason=cluster_disks.cannot_be_away())
def test_the_artifacts_are_away(cluster, workload):
    with workload() as load:
        with cluster_disks.away(cluster.artifacts):
            refused = load.refused()
            assert refused["code"] == "NO_CAPACITY", refused
            load.goes_on(without=NOT_WITHOUT_ARTIFACTS)
        load.goes_on()


def test_the_disk_of_artifacts_is_full(cluster, workload):
    with workload() as load:
        cluster.artifacts_disk.fill()
        refused = load.refused()
        assert refused["code"] == "NO_CAPACITY", refused
        load.goes_on(without=NOT_WITHOUT_ARTIFACTS)
        cluster.artifacts_disk.empty()
        load.goes_on()


def test_the_disk_of_one_executor_is_full(cluster, workload):
    """What is registered comes to the others, and there as soon as there is room."""
    with workload() as load, cluster.client() as client:
        cluster.work_disks["e2"].fill()
        load.goes_on(times=5)
        with large_function(client):
            assert "READY" in {state_at(client, name) for name in EXECUTORS}
            eventually("it says what it lacks", lambda: state_at(client, "e2") == "FAILED")
            cluster.work_disks["e2"].empty()
            eventually("it is served there too", lambda: state_at(client, "e2") == "READY")
        load.goes_on()


def test_the_disks_of_all_executors_are_full(cluster, workload):
    with workload() as load:
        for disk in cluster.work_disks.values():
            disk.fill()
        refused = load.refused()
        assert refused["code"] == "NO_CAPACITY", refused
        load.goes_on(without=NOT_WITHOUT_ARTIFACTS)
        for disk in cluster.work_disks.values():
            disk.empty()
        load.goes_on()


def test_an_executor_with_a_full_disk_joins(cluster, workload):
    """It serves what it can't fetch as soon as there is room."""
    with workload() as load, cluster.client() as client, large_function(client):
        cluster.executors["e2"].kill()
        cluster.forget_artifacts("e2")
        cluster.work_disks["e2"].fill()
        cluster.restart(cluster.executors["e2"])
        eventually("it says what it lacks", lambda: state_at(client, "e2") == "FAILED")
        load.goes_on()
        cluster.work_disks["e2"].empty()
        eventually("it serves too", lambda: state_at(client, "e2") == "READY")
        load.goes_on()


@contextlib.contextmanager
def large_function(client):
    """A function of a mebibyte: more than the others leave free when they go."""
    data = random.Random(1).randbytes(1 << 20)
    client.register_function("large", udf(lambda a: a + len(data), BIGINT, BIGINT))
    yield
    client.drop_function("large")


def state_at(client, executor):
    """How far an executor is with it."""
    return next((each.state for each in client.function("large").executors if each.executor == executor), "")


@pytest.mark.skipif(bool(cluster_disks.cannot_be_slow()), reason=cluster_disks.cannot_be_slow())
def test_the_disk_of_etcd_is_slow(cluster, workload):
    with workload() as load:
        members = [member.pid for member in cluster.etcd.members]
        with cluster.etcd_disk.slow(members, WRITES_PER_SECOND):
            load.goes_on(times=5)
        load.goes_on()
        cluster.wait_whole()
    assert {name: len(cluster.states(name)) for name in COORDINATORS}
