"""Executors die, stand still, and come back under a name that another has taken: no row runs twice."""

from __future__ import annotations

import time

from cluster_fleet import COORDINATORS, TWIN
from cluster_programs import eventually

PAUSE_SECONDS = 15.0


def everywhere(cluster, name):
    """What each coordinator says of an executor, where they agree."""
    seen = {cluster.executors_at(coordinator).get(name) for coordinator in COORDINATORS}
    return seen.pop() if len(seen) == 1 else None


def wait_state(cluster, name, state):
    """Waits until each coordinator says this of it; its epoch."""
    return eventually(
        f"{name} is {state} everywhere",
        lambda: (found := everywhere(cluster, name)) is not None and found[0] == state and found[1],
    )


def test_one_is_killed(cluster, workload):
    with workload() as load:
        epoch = wait_state(cluster, "e1", "ready")
        cluster.executors["e1"].kill()
        wait_state(cluster, "e1", "lost")
        load.goes_on()
        cluster.restart(cluster.executors["e1"])
        assert wait_state(cluster, "e1", "ready") == epoch + 1
        load.goes_on()


def test_one_stands_still_for_15_seconds(cluster, workload):
    with workload() as load:
        epoch = wait_state(cluster, "e2", "ready")
        begun = time.monotonic()
        cluster.executors["e2"].pause()
        wait_state(cluster, "e2", "lost")
        while time.monotonic() < begun + PAUSE_SECONDS:
            load.goes_on()
        cluster.executors["e2"].resume()
        assert wait_state(cluster, "e2", "ready") == epoch, "it is the same process"
        load.goes_on()


def test_one_is_cut_off_and_comes_back_to_a_newer_twin(cluster, workload):
    with workload() as load:
        epoch = wait_state(cluster, "e3", "ready")
        cluster.network.isolate("e3")
        wait_state(cluster, "e3", "lost")
        twin = cluster.start_twin("e3")
        assert wait_state(cluster, "e3", "ready") == epoch + 1
        load.goes_on()
        refusals = cluster.executors["e3"].log.read_text().count("is taken")
        cluster.network.heal()
        eventually(
            "the older one is refused", lambda: cluster.executors["e3"].log.read_text().count("is taken") > refusals
        )
        load.goes_on()
        assert everywhere(cluster, "e3") == ("ready", epoch + 1)
        address = cluster.network.hosts[TWIN].address
        with cluster.client() as client:
            assert [each.address for each in client.executors() if each.id == "e3"] == [f"{address}:8817"]
        twin.stop()
        assert wait_state(cluster, "e3", "ready") == epoch + 2, "the name is free again"
        load.goes_on()
