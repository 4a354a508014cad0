"""Schedules of `make chaos`."""

from __future__ import annotations

import itertools

import pytest
from cluster_fleet import COORDINATORS, EXECUTORS
from cluster_schedule import KINDS, ROUND_SECONDS, rounds


def some(seed, count=50):
    return list(itertools.islice(rounds(seed, list(KINDS)), count))


def test_a_seed_gives_the_same_faults():
    assert some(7) == some(7)
    assert some(7) != some(8)


def test_every_kind_comes():
    assert {fault.kind for faults in some(1) for fault in faults} == set(KINDS)


@pytest.mark.parametrize("seed", range(20))
def test_each_fault_can_be_undone_and_calls_can_go_on(seed):
    for faults in some(seed, 10):
        for fault in faults:
            assert len(set(fault.targets)) == KINDS[fault.kind].count
            assert fault.at + fault.lasts <= ROUND_SECONDS
            at_once = [f for f in faults if f.at <= fault.at < f.at + f.lasts]
            hit = [target for f in at_once for target in f.targets]
            assert len(hit) == len(set(hit))
            assert set(COORDINATORS) - set(hit) and set(EXECUTORS) - set(hit)
