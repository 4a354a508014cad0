"""docs/deploy.md, "Three machines by hand": its commands, word for word, on three machines that are namespaces here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_support import eventually
from service_programs import ROOT

from udfleet._local import binaries

MACHINES = ("a", "b", "c")
PROGRAMS = ("ip", "unshare", "etcd")
HUB = "client"
SUBNET = "10.98.6"
TOKEN = "a-token-of-this-test"

# Its own names of hosts, token, data and a folder that all share, each where the page says.
ENTER = """
set -e
mount -t overlay overlay -o lowerdir=/etc,upperdir=$1/etc,workdir=$1/work /etc
mount -t tmpfs tmpfs /srv && mkdir /srv/udfleet && mount --bind "$2" /srv/udfleet
mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/udfleet && mount --bind "$1/data" /var/lib/udfleet
shift 2
exec "$@"
"""
CLIENT = """
import sys
import udfleet
from udfleet import udf

def plus(number):
    return udf(lambda a: a + number, "BIGINT", "BIGINT")

addresses, name, number, executors = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with udfleet.connect(addresses, token=sys.argv[5]) as fleet:
    ready = [one for one in fleet.executors() if one.state == "ready"]
    assert len(ready) == executors, ready
    fleet.register_function(name, plus(number))
    for direct in (True, False):
        with udfleet.connect(addresses, token=sys.argv[5], direct=direct) as other:
            assert other.call(name, [1]).to_pylist() == [1 + number]
"""


def missing() -> str:
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if os.geteuid() != 0 or absent:
        return "needs root, " + ", ".join(PROGRAMS)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("etc", "work", "data", "shared"):
            (Path(folder) / name).mkdir()
        enter = ["unshare", "--net", "--mount", "sh", "-c", ENTER, "sh", folder, f"{folder}/shared", "true"]
        return "" if subprocess.run(enter, capture_output=True).returncode == 0 else "no such namespaces here"


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def commands() -> tuple[str, str, str]:
    """Variables, coordinator, executor, as the page has them for `a`."""
    section = (ROOT / "docs/deploy.md").read_text().partition("## Three machines by hand")[2].partition("\n## ")[0]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)[1]
    variables, coordinator, executor = block.strip().split("\n\n")
    return variables, coordinator, executor


def sh(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Machines:
    """`a`, `b` and `c`, and where their client is, on a network that touches no other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        (folder / "shared").mkdir()
        self._networks = {name: f"udfleet-{os.getpid()}-{name}" for name in (*MACHINES, HUB)}

    def connect(self) -> None:
        for network in self._networks.values():
            sh("ip", "netns", "add", network)
            sh("ip", "-n", network, "link", "set", "lo", "up")
        hub = self._networks[HUB]
        sh("ip", "-n", hub, "link", "add", "name", "bridge", "type", "bridge")
        sh("ip", "-n", hub, "address", "add", f"{SUBNET}.254/24", "dev", "bridge")
        sh("ip", "-n", hub, "link", "set", "bridge", "up")
        for number, name in enumerate(MACHINES, 1):
            network = self._networks[name]
            sh("ip", "-n", hub, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", network)
            sh("ip", "-n", hub, "link", "set", f"to-{name}", "master", "bridge", "up")
            sh("ip", "-n", network, "address", "add", f"{SUBNET}.{number}/24", "dev", "eth0")
            sh("ip", "-n", network, "link", "set", "eth0", "up")
        for name in (*MACHINES, HUB):
            etc = self.folder / name / "etc"
            (etc / "udfleet").mkdir(parents=True)
            for sub in ("work", "data"):
                (self.folder / name / sub).mkdir()
            (etc / "udfleet" / "token").write_text(TOKEN + "\n")
            (etc / "udfleet" / "token").chmod(0o600)
            hosts = [f"{SUBNET}.{number} {one}\n" for number, one in enumerate(MACHINES, 1)]
            (etc / "hosts").write_text("127.0.0.1 localhost\n" + "".join(hosts))

    def start(self, name: str, what: str, script: str) -> subprocess.Popen[bytes]:
        """Runs a script on a machine."""
        programs = binaries.find_program(binaries.COORDINATOR).parent
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["ip", "netns", "exec", self._networks[name], "unshare", "--mount", "sh", "-c", ENTER, "sh"]
        command += [str(self.folder / name), str(self.folder / "shared"), "bash", "-c", script]
        with (self.folder / f"{name}-{what}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PATH": path})
        self.processes.setdefault(name, []).append(process)
        return process

    def kill(self, name: str) -> None:
        """The machine loses power."""
        for process in self.processes.pop(name, []):
            process.kill()
            process.wait()

    def end(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        for network in self._networks.values():
            subprocess.run(["ip", "netns", "delete", network], capture_output=True)

    def log(self) -> str:
        logs = {path.name: path.read_text(errors="replace")[-2500:] for path in self.folder.glob("*.log")}
        return "\n".join(f"---- {name}\n{text}" for name, text in logs.items())


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    started = Machines(tmp_path)
    try:
        started.connect()
        yield started
    finally:
        started.end()


def etcd(name: str) -> str:
    members = ",".join(f"{one}=http://{one}:2380" for one in MACHINES)
    address = f"{SUBNET}.{MACHINES.index(name) + 1}"
    return (
        f"exec etcd --name {name} --data-dir /var/lib/udfleet/etcd --initial-cluster {members} --log-level=warn"
        f" --listen-client-urls http://{address}:2379 --advertise-client-urls http://{name}:2379"
        f" --listen-peer-urls http://{address}:2380 --initial-advertise-peer-urls http://{name}:2380"
    )


def of(name: str, command: str) -> str:
    """The command for another machine than `a`."""
    return re.sub(r"(--advertise|--id) a\b", rf"\1 {name}", command)


def works(machines: Machines, addresses: str, name: str, number: int, executors: int) -> bool:
    words = [addresses, name, str(number), str(executors), TOKEN]
    client = machines.folder / "client.py"
    client.write_text(CLIENT)
    done = machines.start(HUB, "client", f"exec {sys.executable} {client} {' '.join(words)}").wait(120)
    return done == 0


def test_the_commands_of_the_page_make_a_fleet_that_outlives_a_machine(machines: Machines) -> None:
    variables, coordinator, executor = commands()
    for name in MACHINES:
        machines.start(name, "etcd", etcd(name))
        machines.start(name, "coordinator", f"{variables}\nexec {of(name, coordinator)}")
        machines.start(name, "executor", f"{variables}\nexec {of(name, executor)}")
    everyone = ",".join(f"{name}:8815" for name in MACHINES)
    try:
        eventually("the fleet works", lambda: works(machines, everyone, "plus", 1, 3), 120)
        for name in MACHINES:
            assert works(machines, f"{name}:8815", f"through_{name}", 2, 3), "each coordinator alone does"
        machines.kill("a")
        eventually("it works without a", lambda: works(machines, everyone, "later", 3, 2), 120)
    except AssertionError:
        print(machines.log())
        raise
