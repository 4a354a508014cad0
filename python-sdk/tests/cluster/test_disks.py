"""Where artifacts are kept is away or full, an executor's disk is full, etcd's is slow: what runs goes on."""

from __future__ import annotations

import cluster_disks
import pytest
from cluster_fleet import COORDINATORS

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


@pytest.mark.skipif(bool(cluster_disks.cannot_be_slow()), reason=cluster_disks.cannot_be_slow())
def test_the_disk_of_etcd_is_slow(cluster, workload):
    with workload() as load:
        members = [member.pid for member in cluster.etcd.members]
        with cluster.etcd_disk.slow(members, WRITES_PER_SECOND):
            load.goes_on(times=5)
        load.goes_on()
        cluster.wait_whole()
    assert {name: len(cluster.states(name)) for name in COORDINATORS}
