"""Artifacts are in a bucket whose server dies, or can't be reached: registrations fail as retryable, what runs goes on."""

from __future__ import annotations

import pytest
import seaweed
from cluster_fleet import EXECUTORS, STORE
from cluster_programs import eventually

pytestmark = pytest.mark.skipif(bool(seaweed.missing()), reason=seaweed.missing())
IN_BUCKET = True
NOT_WITHOUT_ARTIFACTS = ("registrations",)


def test_its_server_is_killed(cluster, workload):
    with workload() as load:
        server = cluster.bucket.program
        server.kill()
        refused = load.refused()
        assert (refused["code"], refused["retryable"]) == ("NO_CAPACITY", True), refused
        load.goes_on(without=NOT_WITHOUT_ARTIFACTS)
        cluster.restart(server)
        load.goes_on()


def test_its_server_cannot_be_reached(cluster, workload):
    """No packet comes back: what asks it has to give up by itself."""
    with workload() as load:
        cluster.network.isolate(STORE)
        refused = load.refused()
        assert (refused["code"], refused["retryable"]) == ("NO_CAPACITY", True), refused
        load.goes_on(without=NOT_WITHOUT_ARTIFACTS)
        cluster.network.heal()
        load.goes_on()


def test_an_executor_that_comes_meanwhile_serves_when_it_is_back(cluster, workload):
    """What it has to fetch it waits for; the others go on."""
    with workload() as load:
        cluster.executors["e1"].kill()
        cluster.bucket.program.kill()
        cluster.forget_artifacts("e1")
        cluster.restart(cluster.executors["e1"])
        load.goes_on(without=NOT_WITHOUT_ARTIFACTS)
        cluster.restart(cluster.bucket.program)
        with cluster.client() as client:
            eventually("it serves too", lambda: serving(client) == dict.fromkeys(EXECUTORS, "READY"))
        load.goes_on()


def serving(client):
    """How far each executor is with the function that all call."""
    return {each.executor: each.state for each in client.function("double").executors}
