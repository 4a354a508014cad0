"""A random schedule of faults, which follows from its seed alone: the same seed gives the same faults at the same times."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cluster_fleet import COORDINATORS, ETCD, EXECUTORS, ClusterFleet


@dataclass(frozen=True)
class Fault:
    """What is done to a fleet, to which hosts, when and for how long. Times in seconds from the start of its round."""

    kind: str
    hosts: tuple[str, ...]
    at: float
    lasts: float

    def __str__(self) -> str:
        return f"+{self.at:5.1f} s  {self.kind:<12} {', '.join(self.hosts):<8} for {self.lasts:4.1f} s"


def _kill(fleet: ClusterFleet, host: str) -> None:
    fleet.program(host).kill()


def _start(fleet: ClusterFleet, host: str) -> None:
    fleet.restart(fleet.program(host))


def _stop(fleet: ClusterFleet, host: str) -> None:
    fleet.program(host).stop()


def _pause(fleet: ClusterFleet, host: str) -> None:
    fleet.program(host).pause()


def _resume(fleet: ClusterFleet, host: str) -> None:
    fleet.program(host).resume()


def _isolate(fleet: ClusterFleet, host: str) -> None:
    fleet.network.isolate(host)


def _join(fleet: ClusterFleet, host: str) -> None:
    fleet.network.join(host)


def _cut(fleet: ClusterFleet, one: str, other: str) -> None:
    fleet.network.cut(one, other)


def _cut_one_way(fleet: ClusterFleet, one: str, other: str) -> None:
    fleet.network.cut_one_way(one, other)


def _mend(fleet: ClusterFleet, one: str, other: str) -> None:
    fleet.network.mend(one, other)


def _compact(fleet: ClusterFleet, *_: str) -> None:
    fleet.etcd.compact()


def _nothing(*_: object) -> None:
    pass


KINDS: dict[str, tuple[Callable[..., None], Callable[..., None], int]] = {
    "kill": (_kill, _start, 1),
    "stop": (_stop, _start, 1),
    "pause": (_pause, _resume, 1),
    "isolate": (_isolate, _join, 1),
    "cut": (_cut, _mend, 2),
    "cut one way": (_cut_one_way, _mend, 2),
    "compact": (_compact, _nothing, 0),
}
"""What is done, what undoes it, and to how many hosts."""

ROUND_SECONDS = 30.0
"""After this all is repaired, and the fleet has to be whole again."""
_LONGEST = 16.0
_HOSTS = (*ETCD, *COORDINATORS, *EXECUTORS)


def rounds(seed: int) -> Iterator[list[Fault]]:
    """One schedule after the other, without end."""
    # Not for secrets.
    random_numbers = random.Random(seed)
    while True:
        yield _round(random_numbers)


def _round(numbers: random.Random) -> list[Fault]:
    """A few faults that overlap. No host is in two of them, so that each can be undone by itself."""
    free = set(_HOSTS)
    faults = []
    at = 0.0
    while True:
        at += numbers.uniform(0.5, 6.0)
        kind = numbers.choice(list(KINDS))
        lasts = numbers.uniform(1.0, _LONGEST)
        hosts = numbers.sample(sorted(free), min(len(free), KINDS[kind][2]))
        if at + lasts > ROUND_SECONDS or len(hosts) < KINDS[kind][2]:
            return faults
        free -= set(hosts)
        if not _too_much(free):
            faults.append(Fault(kind, tuple(hosts), round(at, 1), round(lasts, 1)))
        else:
            free |= set(hosts)


def _too_much(free: set[str]) -> bool:
    """Calls have to go on, so that one of each kind of host is left alone; of etcd, whatever happens."""
    return not (free & set(COORDINATORS) and free & set(EXECUTORS))
