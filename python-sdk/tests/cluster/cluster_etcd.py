"""etcd as a cluster of members on hosts of their own."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from cluster_network import Host
from cluster_programs import Program, eventually

_CLIENT, _PEER = 2379, 2380
_PREFIX = "chaos"


def missing() -> str:
    """Why there can't be one here; empty where there can."""
    return "" if shutil.which("etcd") else "etcd is not installed (Debian: etcd-server)"


class EtcdCluster:
    """Its members are killed, paused and started again by themselves: `members`."""

    def __init__(self, hosts: Sequence[Host], folder: Path) -> None:
        self._hosts = hosts
        (folder / "etcd").mkdir(exist_ok=True)
        peers = ",".join(f"{host.name}=http://{host.address}:{_PEER}" for host in hosts)
        self.members = [Program(host.name, host, _command(host, peers, folder), folder) for host in hosts]

    def start(self) -> None:
        """Returns when they have a leader."""
        for member in self.members:
            member.start()
        eventually("etcd answers", self.healthy)

    def healthy(self) -> bool:
        """Whether a majority is there, as all members see it that run."""
        running = [member.host for member in self.members if member.running]
        return all(self._health(host) for host in running)

    def _health(self, host: Host) -> bool:
        try:
            with urllib.request.urlopen(f"http://{host.address}:{_CLIENT}/health", timeout=3) as answer:
                return bool(json.load(answer)["health"] == "true")
        except (OSError, ValueError):
            return False

    @property
    def url(self) -> str:
        """What coordinators are told."""
        return f"etcd://{','.join(f'{host.address}:{_CLIENT}' for host in self._hosts)}/{_PREFIX}"

    def compact(self) -> None:
        """Forgets all history: whoever watches from an earlier revision has missed something."""
        everything = base64.b64encode(b"\0").decode()
        found = self._ask("kv/range", {"key": everything, "range_end": everything, "count_only": True})
        self._ask("kv/compaction", {"revision": found["header"]["revision"], "physical": True})

    def _ask(self, method: str, request: dict[str, object]) -> dict[str, dict[str, str]]:
        """Asks the first member that answers, through its gateway for JSON."""
        for host in self._hosts:
            asked = urllib.request.Request(f"http://{host.address}:{_CLIENT}/v3/{method}", json.dumps(request).encode())
            try:
                with urllib.request.urlopen(asked, timeout=3) as answer:
                    found: dict[str, dict[str, str]] = json.load(answer)
                    return found
            except OSError:
                continue
        raise AssertionError(f"no member of etcd answers {method}")


def _command(host: Host, peers: str, folder: Path) -> list[str]:
    client, peer = (f"http://{host.address}:{port}" for port in (_CLIENT, _PEER))
    command = [
        "etcd",
        "--name",
        host.name,
        "--data-dir",
        str(folder / "etcd" / host.name),
        "--logger=zap",
        "--log-level=warn",
    ]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    return [*command, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", peers]
