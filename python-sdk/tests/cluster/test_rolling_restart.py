"""Everything is restarted in order, one process after the other, under load: nobody notices."""

from __future__ import annotations

from cluster_history import ALWAYS_WORK
from cluster_programs import eventually


def test_no_call_fails(cluster, workload):
    with workload(strict=ALWAYS_WORK | {"effect", "register", "drop"}) as load:
        for program in [*cluster.executors.values(), *cluster.coordinators.values(), *cluster.etcd.members]:
            program.stop()
            load.goes_on(times=2)
            cluster.restart(program)
            eventually("etcd is whole", cluster.etcd.healthy)
            cluster.wait_whole()
            load.goes_on(times=2)
