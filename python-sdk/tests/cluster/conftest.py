"""One fleet over several hosts for all tests here; one that a test has broken is replaced.

They need root and network namespaces, and etcd. Build first: cargo build --release.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster_disks
import cluster_etcd
import cluster_fleet
import cluster_network
import pytest
from cluster_fleet import HOSTS, ClusterFleet
from cluster_network import Network
from cluster_workload import Workload, prepare

_outcome = pytest.StashKey[bool]()
_numbers = itertools.count(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and call.when == "call":
        item.stash[_outcome] = True
    return report


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    reason = cluster_network.missing() or cluster_etcd.missing()
    if reason:
        pytest.skip(reason)
    cluster_fleet.environment()
    cluster_disks.hide_mounts()
    with cluster_network.network(HOSTS) as made:
        yield made


class Keeper:
    """Holds the fleet that is up: one with its artifacts in a folder, or one with them in a bucket."""

    def __init__(self, network: Network, folders: pytest.TempPathFactory) -> None:
        self._network = network
        self._folders = folders
        self._fleet: ClusterFleet | None = None

    def whole(self, in_bucket: bool) -> ClusterFleet:
        if self._fleet is not None and bool(self._fleet.bucket) != in_bucket:
            self.discard()
        if self._fleet is None:
            folder: Path = self._folders.mktemp("cluster")
            self._fleet = ClusterFleet(self._network, folder, in_bucket)
            try:
                self._fleet.start()
                prepare(self._fleet)
            except BaseException:
                print(self._fleet.tails())
                self.discard()
                raise
        return self._fleet

    def discard(self) -> None:
        if self._fleet is not None:
            self._fleet.close()
            self._fleet = None
            self._network.heal()


@pytest.fixture(scope="session")
def keeper(network, tmp_path_factory) -> Iterator[Keeper]:
    kept = Keeper(network, tmp_path_factory)
    try:
        yield kept
    finally:
        kept.discard()


@pytest.fixture
def cluster(keeper, request) -> Iterator[ClusterFleet]:
    """A fleet that is whole. After a test that fails it is gone, and its logs are shown. Artifacts are in a bucket for
    test files that say so: `IN_BUCKET`."""
    fleet = keeper.whole(getattr(request.module, "IN_BUCKET", False))
    yield fleet
    if request.node.stash.get(_outcome, False):
        print(f"histories and whole logs: {fleet.folder}\n{fleet.tails()}")
        keeper.discard()
        return
    try:
        fleet.repair()
    except BaseException:
        print(fleet.tails())
        keeper.discard()
        raise


@pytest.fixture
def workload(cluster, request) -> Callable[..., Workload]:
    """Makes clients that stream, call and register all the time; what they have seen is checked in the end."""
    name = re.sub(r"\W+", "_", request.node.name.removeprefix("test_"))[:50].strip("_")
    return functools.partial(Workload, cluster, f"{name}_{next(_numbers)}")
