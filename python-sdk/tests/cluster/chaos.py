"""Random faults under a load that is checked, for as long as one likes: `make chaos SECONDS=600`, `make chaos SEED=7`."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cluster_disks
import cluster_etcd
import cluster_fleet
import cluster_network
from cluster_fleet import HOSTS, ClusterFleet
from cluster_keyed import KeyedStreams, prepare_keyed
from cluster_network import Network
from cluster_schedule import KINDS, Fault, possible, rounds
from cluster_workload import Workload, prepare


def main() -> int:
    """0: what clients have seen is right. 1: it is not. 2: it can't be run here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--faults", type=int, default=0, help="go on until there were so many, however long it takes")
    given = parser.parse_args()
    if reason := cluster_network.missing() or cluster_etcd.missing():
        print(f"chaos can't be run here: {reason}", file=sys.stderr)
        return 2
    seed = random.SystemRandom().randrange(1 << 31) if given.seed is None else given.seed
    print(f"seed {seed}: `make chaos SEED={seed}` makes the same faults again", flush=True)
    cluster_fleet.environment()
    cluster_disks.hide_mounts()
    folder = Path(tempfile.mkdtemp(prefix="udfleet-chaos-"))
    with cluster_network.network(HOSTS) as network:
        return run(network, folder, seed, given.seconds, given.faults)


def run(network: Network, folder: Path, seed: int, seconds: float, least: int) -> int:
    """Rounds of faults; each has to end with a fleet that is whole and a history that is right."""
    fleet = ClusterFleet(network, folder)
    end = time.monotonic() + seconds
    made: Counter[str] = Counter()
    try:
        fleet.start()
        prepare(fleet)
        prepare_keyed(fleet)
        for number, faults in enumerate(rounds(seed, possible()), start=1):
            if time.monotonic() >= end and made.total() >= least:
                break
            print(f"round {number}:\n" + "\n".join(f"  {fault}" for fault in faults), flush=True)
            with Workload(fleet, f"round{number}") as load, KeyedStreams(fleet, f"round{number}") as streams:
                make(fleet, faults)
                fleet.repair()
                load.goes_on()
                streams.go_on()
            made.update(fault.kind for fault in faults)
            print("  right", flush=True)
    except BaseException as error:
        wrong = not isinstance(error, KeyboardInterrupt)
        if wrong:
            print(f"{fleet.tails()}\n\nWRONG, seed {seed}: {error}\nhistories and whole logs: {folder}")
        return 1 if wrong else 130
    finally:
        fleet.close()
    shutil.rmtree(folder)
    print(f"right, seed {seed}: {', '.join(f'{count} {kind}' for kind, count in sorted(made.items()))}")
    return 0


def make(fleet: ClusterFleet, faults: list[Fault]) -> None:
    """Makes the faults of one round, each at its time, and undoes them."""
    steps = [(fault.at, KINDS[fault.kind].do, fault) for fault in faults]
    steps += [(fault.at + fault.lasts, KINDS[fault.kind].undo, fault) for fault in faults]
    begun = time.monotonic()
    for at, step, fault in sorted(steps, key=lambda step: step[0]):
        time.sleep(max(0.0, begun + at - time.monotonic()))
        step(fleet, *fault.targets)


if __name__ == "__main__":
    sys.exit(main())
