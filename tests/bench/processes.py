"""What the processes of a fleet take of the machine."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

SECONDS = 10


def proportional_mib(pid: int) -> float:
    """Memory of a process, pages that it shares counted by its share, MiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found.group(1)) / 1024 if found else 0.0


def children(pid: int) -> list[int]:
    """Processes that it has started."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in listed for child in file.read_text().split()]


def cpu(pid: int) -> float:
    """Seconds of a core that a process has taken."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def shares(*pids: int) -> list[float]:
    """Of one core, over some seconds, for each process."""
    before, begun = [cpu(pid) for pid in pids], time.monotonic()
    time.sleep(SECONDS)
    seconds = time.monotonic() - begun
    return [(cpu(pid) - taken) / seconds for pid, taken in zip(pids, before, strict=True)]
