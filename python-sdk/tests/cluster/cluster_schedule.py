"""A random schedule of faults, which follows from its seed alone: the same seed gives the same faults at the same times."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import cluster_disks
from cluster_fleet import COORDINATORS, ETCD, EXECUTORS, ClusterFleet

ROUND_SECONDS = 30.0
"""After this all is repaired, and the fleet has to be whole again."""
_LONGEST = 16.0
_HOSTS = (*ETCD, *COORDINATORS, *EXECUTORS)
_ARTIFACTS = ("artifacts",)


@dataclass(frozen=True)
class Fault:
    """What is done to a fleet, to whom, when and for how long. Times in seconds from the start of its round."""

    kind: str
    targets: tuple[str, ...]
    at: float
    lasts: float

    def __str__(self) -> str:
        return f"+{self.at:5.1f} s  {self.kind:<12} {', '.join(self.targets):<9} for {self.lasts:4.1f} s"


@dataclass(frozen=True)
class Kind:
    """What is done, what undoes it, and to whom it may happen: `count` of the candidates."""

    do: Callable[..., object]
    undo: Callable[..., object]
    candidates: tuple[str, ...] = _HOSTS
    count: int = 1


def _stop(fleet: ClusterFleet, host: str) -> None:
    program = fleet.program(host)
    if host in ETCD:
        # etcd waits for a peer that stands still. Ours have to end by themselves.
        program.end(seconds=5.0)
    else:
        program.stop()


def _artifacts_go_away(fleet: ClusterFleet, _: str) -> None:
    fleet.away = ExitStack()
    fleet.away.enter_context(cluster_disks.away(fleet.artifacts))


def _compact(fleet: ClusterFleet) -> None:
    # Without a majority there is nothing to compact.
    with suppress(AssertionError):
        fleet.etcd.compact()


KINDS = {
    "kill": Kind(lambda f, host: f.program(host).kill(), lambda f, host: f.restart(f.program(host))),
    "stop": Kind(_stop, lambda f, host: f.restart(f.program(host))),
    "pause": Kind(lambda f, host: f.program(host).pause(), lambda f, host: f.program(host).resume()),
    "isolate": Kind(lambda f, host: f.network.isolate(host), lambda f, host: f.network.join(host)),
    "cut": Kind(lambda f, *two: f.network.cut(*two), lambda f, *two: f.network.mend(*two), count=2),
    "cut one way": Kind(lambda f, *two: f.network.cut_one_way(*two), lambda f, *two: f.network.mend(*two), count=2),
    "compact": Kind(_compact, lambda f: None, count=0),
    "full": Kind(lambda f, _: f.artifacts_disk.fill(), lambda f, _: f.artifacts_disk.empty(), _ARTIFACTS),
    "away": Kind(_artifacts_go_away, lambda f, _: f.away.close(), _ARTIFACTS),
}


def possible() -> list[str]:
    """The kinds that this machine can make."""
    return [name for name in KINDS if name != "away" or not cluster_disks.cannot_be_away()]


def rounds(seed: int, kinds: list[str]) -> Iterator[list[Fault]]:
    """One schedule after the other, without end."""
    numbers = random.Random(seed)
    while True:
        yield _round(numbers, kinds)


def _round(numbers: random.Random, kinds: list[str]) -> list[Fault]:
    """Faults that overlap. Nothing is in two of them at once, so that each can be undone by itself."""
    until = dict.fromkeys((*_HOSTS, *_ARTIFACTS), 0.0)
    faults = []
    at = 0.0
    while True:
        at = round(at + numbers.uniform(0.5, 5.0), 1)
        lasts = round(numbers.uniform(1.0, _LONGEST), 1)
        if at + lasts > ROUND_SECONDS:
            return faults
        kind = numbers.choice(kinds)
        free = [target for target, end in until.items() if end <= at]
        candidates = [target for target in KINDS[kind].candidates if target in free]
        if len(candidates) < KINDS[kind].count:
            continue
        targets = tuple(numbers.sample(candidates, KINDS[kind].count))
        if _calls_go_on(set(free) - set(targets)):
            faults.append(Fault(kind, targets, at, lasts))
            until.update(dict.fromkeys(targets, at + lasts + 1.0))


def _calls_go_on(free: set[str]) -> bool:
    """One coordinator and one executor are left alone; of etcd none has to be."""
    return bool(free & set(COORDINATORS) and free & set(EXECUTORS))
