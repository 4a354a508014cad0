"""A fleet over several hosts: three members of etcd, two coordinators, three executors, and what to ask them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
from cluster_bucket import BucketServer
from cluster_disks import SlowableDisk, SmallDisk, cannot_be_slow
from cluster_etcd import EtcdCluster
from cluster_network import Network
from cluster_programs import Program, eventually

import udfleet
from udfleet._local import binaries
from udfleet._proto.udfleet.v1 import fleet_pb2

ETCD = ("m1", "m2", "m3")
COORDINATORS = ("c1", "c2")
EXECUTORS = ("e1", "e2", "e3")
TWIN = "twin"
"""A host on which a second executor of a name may be started."""
STORE = "s3"
"""A host for the server of a bucket."""
HOSTS = (*ETCD, *COORDINATORS, *EXECUTORS, TWIN, STORE)
_GRPC, _HTTP, _FLIGHT = 8815, 8816, 8817


class ClusterFleet:
    """Its processes run until `close`. Must be made, used and closed by the thread that has made the network.

    Artifacts are in a folder that the coordinators share, or in a bucket.
    """

    def __init__(self, network: Network, folder: Path, in_bucket: bool = False) -> None:
        self.network = network
        self.folder = folder
        self.token = secrets.token_hex(16)
        (folder / "token").write_text(self.token)
        self.effects = folder / "effects"
        self.effects.mkdir()
        self._environment = {"UV_OFFLINE": "1", "UDFLEET_EXECUTOR_SANDBOX_WRITE": str(self.effects)}
        # The folder of effects is root's alone.
        self._environment["UDFLEET_EXECUTOR_SANDBOX_WITHOUT"] = "users"
        self.artifacts_disk = SmallDisk(folder / "shared", 32)
        self.artifacts = folder / "shared" / "artifacts"
        self.artifacts.mkdir()
        self.work_disks = {name: SmallDisk(folder / f"work-{name}", 32) for name in EXECUTORS}
        self.bucket = BucketServer(network.hosts[STORE], folder) if in_bucket else None
        self.etcd_disk = SlowableDisk(folder / "etcd") if not cannot_be_slow() else None
        self.etcd = EtcdCluster([network.hosts[name] for name in ETCD], folder)
        self.coordinators = {name: self._coordinator(name) for name in COORDINATORS}
        self.executors = {name: self._executor(name, name) for name in EXECUTORS}
        self._twins: list[Program] = []
        self.away = contextlib.ExitStack()
        """What is held while artifacts are away."""

    @property
    def programs(self) -> list[Program]:
        """Everything that runs."""
        stores = [*self.etcd.members, *([self.bucket.program] if self.bucket else [])]
        return [*stores, *self.coordinators.values(), *self.executors.values(), *self._twins]

    def program(self, host: str) -> Program:
        """What runs on a host by right."""
        return next(program for program in self.programs if program.host.name == host)

    def _reachable(self, host: str, port: int) -> list[str]:
        address = self.network.hosts[host].address
        return [f"--listen={address}:{port}", f"--token-file={self.folder / 'token'}", "--insecure-non-loopback"]

    def _coordinator(self, name: str) -> Program:
        data = self.folder / name
        host = self.network.hosts[name]
        command = [str(binaries.find_folder() / binaries.COORDINATOR), *self._reachable(name, _GRPC)]
        command += [f"--http-listen={host.address}:{_HTTP}", f"--data-dir={data}", f"--meta-store={self.etcd.url}"]
        folder = [f"--artifact-store={self.artifacts}", "--artifact-store-shared"]
        command += self.bucket.options if self.bucket else folder
        return Program(name, host, command, self.folder)

    def _executor(self, name: str, host: str) -> Program:
        command = [str(binaries.find_folder() / binaries.EXECUTOR), *self._reachable(host, _FLIGHT)]
        command += [f"--coordinator={self.address}", f"--id={name}", f"--work-dir={self.folder / f'work-{host}'}"]
        command += [f"--environments-dir={self.folder / 'environments'}", f"--uv={binaries.find_uv()}"]
        command += [f"--python={binaries.base_python()}", "--memory=2GiB"]
        command += ["--interpreters-per-environment=1", "--max-interpreters-per-environment=2"]
        # The hosts are namespaces of one machine: its file system is a place that all of them see.
        command += [f"--state-store={self.folder / 'state'}"]
        program = f"{name}-on-{host}" if name != host else name
        return Program(program, self.network.hosts[host], command, self.folder)

    @property
    def address(self) -> str:
        """Of all coordinators."""
        return ",".join(self.address_of(name) for name in COORDINATORS)

    def address_of(self, coordinator: str) -> str:
        return f"{self.network.hosts[coordinator].address}:{_GRPC}"

    def start(self) -> None:
        """Returns when all serve."""
        self.etcd.start()
        if self.bucket:
            self.bucket.start()
            self._environment |= self.bucket.environment
        for program in self.coordinators.values():
            program.start(self._environment)
        for program in self.executors.values():
            program.start(self._environment)
        self.wait_whole()

    def restart(self, program: Program) -> None:
        """Starts a program that has ended."""
        program.start(self._environment)

    def start_twin(self, name: str) -> Program:
        """A second executor of this name, on a host of its own."""
        twin = self._executor(name, TWIN)
        self._twins.append(twin)
        twin.start(self._environment)
        return twin

    def forget_artifacts(self, executor: str) -> None:
        """What an executor that has ended keeps of them is gone, with what its interpreters had."""
        for name in ("artifacts", "tmp"):
            shutil.rmtree(self.folder / f"work-{executor}" / name)

    def repair(self) -> None:
        """Heals the network, starts what has ended, and waits until the fleet is whole."""
        self.network.heal()
        self.away.close()
        for disk in (self.artifacts_disk, *self.work_disks.values()):
            disk.empty()
        for twin in self._twins:
            twin.kill()
        self._twins = []
        for program in self.programs:
            if program.running:
                program.resume()
            else:
                program.kill()
                self.restart(program)
        self.wait_whole()

    def wait_whole(self, seconds: float = 90.0) -> None:
        """Waits until each coordinator has each executor in service, and one of them leads."""
        eventually("etcd answers", self.etcd.healthy, seconds)
        if self.bucket:
            eventually("the bucket's server answers", self.bucket.healthy, seconds)
        for name in COORDINATORS:
            ready = dict.fromkeys(EXECUTORS, "ready")
            eventually(f"{name} has all executors", lambda name=name, ready=ready: self.states(name) == ready, seconds)
        self.wait_leader()

    def wait_missed(self, program: Program) -> None:
        """Waits until the fleet has seen that a program has ended, and goes on without it."""
        name = program.host.name
        if name in EXECUTORS:
            eventually(f"{name} is lost", lambda: all(self.states(c).get(name) == "lost" for c in COORDINATORS))
        if name in COORDINATORS:
            self.wait_leader(tuple(other for other in COORDINATORS if other != name))

    def states(self, coordinator: str) -> dict[str, str]:
        """State of each executor as a coordinator sees it; empty where it does not answer."""
        return {name: state for name, (state, _) in self.executors_at(coordinator).items()}

    def executors_at(self, coordinator: str, seconds: float = 2.0) -> dict[str, tuple[str, int]]:
        """State and epoch of each executor as a coordinator sees it; empty where it does not answer."""
        with grpc.insecure_channel(self.address_of(coordinator)) as channel:
            ask = channel.unary_unary(
                "/udfleet.v1.Fleet/ListExecutors",
                fleet_pb2.ListExecutorsRequest.SerializeToString,
                fleet_pb2.ListExecutorsResponse.FromString,
            )
            try:
                metadata = (("authorization", f"Bearer {self.token}"),)
                answer = ask(fleet_pb2.ListExecutorsRequest(), timeout=seconds, metadata=metadata)
            except grpc.RpcError:
                return {}
        word = {number: name.rpartition("_")[2].lower() for name, number in fleet_pb2.ExecutorState.items()}
        return {each.hello.executor: (word[each.state], each.epoch) for each in answer.executors}

    def functions_at(self, coordinator: str) -> dict[str, str]:
        """State of each version of each function as a coordinator sees it."""
        views = json.loads(self.get(coordinator, "/api/v1/functions?all_versions=true", seconds=10))
        return {f"{view['name']}@{view['version']}": view["state"] for view in views}

    def get(self, coordinator: str, path: str, seconds: float = 2.0) -> str:
        """Asks a coordinator's second port."""
        url = f"http://{self.network.hosts[coordinator].address}:{_HTTP}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            text: str = answer.read().decode()
            return text

    def term(self, coordinator: str) -> int:
        """The term that a coordinator says to lead in; 0 where it does not, or does not answer."""
        with contextlib.suppress(OSError):
            for line in self.get(coordinator, "/metrics", seconds=1).splitlines():
                if line.startswith("udfleet_leader_term "):
                    return int(float(line.split()[1]))
        return 0

    def wait_leader(self, among: tuple[str, ...] = COORDINATORS) -> tuple[str, int]:
        """The one that leads, and its term."""
        return eventually(
            f"one of {', '.join(among)} leads",
            lambda: next(((name, term) for name in among if (term := self.term(name))), None),
        )

    def follower(self) -> str:
        """One that does not lead."""
        leader, _ = self.wait_leader()
        return next(name for name in COORDINATORS if name != leader)

    @contextlib.contextmanager
    def client(self, *coordinators: str, direct: bool = True) -> Iterator[udfleet.Fleet]:
        """A client that is told of these coordinators, or of all; where it is told of one it uses no other."""
        address = ",".join(map(self.address_of, coordinators)) or self.address
        with udfleet.connect(address, self.token, direct=direct) as client:
            if len(coordinators) == 1:
                client._rpc.coordinators.learn = lambda *_: None  # type: ignore[method-assign]
                client._rpc.coordinators._learned = ()
            yield client

    def tails(self) -> str:
        """What all programs have logged last, for a test that has failed."""
        return "\n".join(f"---- the log of {program.name} ends with:\n{program.tail()}" for program in self.programs)

    def close(self) -> None:
        """Kills everything."""
        for program in self.programs:
            program.kill()
        for disk in (self.artifacts_disk, self.etcd_disk, *self.work_disks.values()):
            if disk is not None:
                disk.close()


def environment() -> None:
    """Clients of a private network use no proxy."""
    for name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
        del os.environ[name]
