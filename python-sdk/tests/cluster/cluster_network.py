"""A network of hosts on one machine: a network namespace for each, and a bridge between them.

Namespaces have no names: file descriptors of this process hold them, so that they end with it, however it ends. The bridge
is in a namespace too, which this process moves into: neither the machine's addresses nor its packet filter matter.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SUBNET = "10.99.7"
"""First three parts of all addresses."""
_CLIENT = f"{SUBNET}.254"
_CLONE_NEWNET = 0x40000000
_PROGRAMS = ("ip", "iptables", "nsenter", "setpriv")
_LIBC = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    """Why there can't be such a network here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: iproute2, iptables, util-linux)"
    try:
        os.close(_new_namespace())
    except OSError as error:
        return f"no network namespaces here: {error}"
    return ""


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _new_namespace() -> int:
    """A descriptor of a new network namespace. A thread that ends makes it, since it would stay in it."""
    made: list[int] = []
    failed: list[OSError] = []

    def make() -> None:
        try:
            _checked(_LIBC.unshare(_CLONE_NEWNET))
            made.append(_current())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def _enter(namespace: int) -> None:
    """Moves this thread, and those that it starts from now on."""
    _checked(_LIBC.setns(namespace, _CLONE_NEWNET))


@dataclass(frozen=True)
class Host:
    """One machine of the network."""

    name: str
    address: str
    namespace: int

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.namespace}"

    def command(self, *command: str) -> list[str]:
        """A command that runs on it, and is killed when the thread that starts it ends."""
        return ["nsenter", f"--net={self.path}", "setpriv", "--pdeathsig", "KILL", "--", *command]


class Network:
    """See the module. The thread that makes it is where clients live: `Network.client_address`."""

    client_address = _CLIENT

    def __init__(self, names: Iterable[str]) -> None:
        self._before = _current()
        self._client = _new_namespace()
        _enter(self._client)
        self.hosts = {
            name: Host(name, f"{SUBNET}.{number}", _new_namespace()) for number, name in enumerate(names, start=1)
        }
        self._build()

    def _build(self) -> None:
        hub = ["link set lo up", "link add hub type bridge", f"addr add {_CLIENT}/24 dev hub", "link set hub up"]
        for host in self.hosts.values():
            hub += [
                f"link add {host.name} type veth peer name eth0 netns {host.path}",
                f"link set {host.name} master hub up",
            ]
        _ip(hub)
        for host in self.hosts.values():
            _ip(["link set lo up", f"addr add {host.address}/24 dev eth0", "link set eth0 up"], host)

    def outside(self, *command: str) -> list[str]:
        """A command that runs on the machine's own network."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self._before}", "--", *command]

    def cut_one_way(self, source: str, target: str) -> None:
        """Packets of one no longer reach the other; the others still do."""
        host = self.hosts[target]
        _run(host.command("iptables", "-w", "-A", "INPUT", "-s", self.hosts[source].address, "-j", "DROP"))

    def cut(self, one: str, other: str) -> None:
        """The same both ways."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def isolate(self, name: str) -> None:
        """Cuts a host off from all others, as when a cable is pulled: its connections stay as they are."""
        _ip([f"link set {name} nomaster"])

    def join(self, name: str) -> None:
        """Undoes `isolate`."""
        _ip([f"link set {name} master hub"])

    def mend(self, one: str, other: str) -> None:
        """Undoes the cuts between two."""
        for source, target in ((one, other), (other, one)):
            rule = ["INPUT", "-s", self.hosts[source].address, "-j", "DROP"]
            command = self.hosts[target].command("iptables", "-w", "-D", *rule)
            while subprocess.run(command, capture_output=True).returncode == 0:
                pass

    def heal(self) -> None:
        """Undoes all cuts."""
        _ip([f"link set {name} master hub" for name in self.hosts])
        for host in self.hosts.values():
            _run(host.command("iptables", "-w", "-F", "INPUT"))

    def close(self) -> None:
        """Goes back to the machine's own network. Processes on the hosts have to be ended by whoever started them."""
        _enter(self._before)
        for namespace in (self._before, self._client, *(host.namespace for host in self.hosts.values())):
            os.close(namespace)


@contextlib.contextmanager
def network(names: Iterable[str]) -> Iterator[Network]:
    """A network as long as the context lasts."""
    made = Network(names)
    try:
        yield made
    finally:
        made.close()


def _ip(lines: list[str], host: Host | None = None) -> None:
    command = ["ip", "-batch", "-"]
    _run(host.command(*command) if host else command, "\n".join(lines))


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
