"""Sampled stacks: summed over executors, and per Python function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._client.views import ProfileView

Stacks = dict[tuple[str, ...], float]
"""Seconds by stack, frames from the outermost."""


def merged(views: Iterable[ProfileView]) -> Stacks:
    """The samples of all executors and functions."""
    found: Stacks = {}
    for view in views:
        for stack, samples in view.stacks.items():
            frames = tuple(stack.split(";"))
            found[frames] = found.get(frames, 0.0) + samples * view.period_seconds
    return found


def top(stacks: Stacks) -> list[tuple[str, float, float]]:
    """Each frame with its own seconds and those including what it called; most own seconds first."""
    own: dict[str, float] = {}
    total: dict[str, float] = {}
    for frames, seconds in stacks.items():
        own[frames[-1]] = own.get(frames[-1], 0.0) + seconds
        for frame in set(frames):  # once, however deep it recurses
            total[frame] = total.get(frame, 0.0) + seconds
    rows = [(frame, own.get(frame, 0.0), seconds) for frame, seconds in total.items()]
    return sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))
