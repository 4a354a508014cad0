"""What an engine leaves in the kernel when it has ended: its chains, its bridge, and a policy that forwards nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

from .shell import program, run

_BRIDGE = "docker0"


def forward_policy() -> str:
    """What becomes of packets that no rule is about; empty where that can't be told."""
    words = _iptables("-S", "FORWARD").split()
    return words[2] if words[:2] == ["-P", "FORWARD"] else ""


def clean(policy: str) -> None:
    """Undoes it. The policy is what it was before."""
    if policy:
        _iptables("-P", "FORWARD", policy)
    for table in ("filter", "nat"):
        lines = [shlex.split(line) for line in _iptables("-t", table, "-S").splitlines()]
        for words in lines:
            if words[:1] == ["-A"] and not words[1].startswith("DOCKER") and _is_dockers(words):
                _iptables("-t", table, "-D", *words[1:])
        chains = [words[1] for words in lines if words[:1] == ["-N"] and words[1].startswith("DOCKER")]
        for option in ("-F", "-X"):
            for chain in chains:
                _iptables("-t", table, option, chain)
    if Path(f"/sys/class/net/{_BRIDGE}").exists() and (ip := program("ip")):
        run([ip, "link", "delete", _BRIDGE], quiet=True, check=False)


def _is_dockers(words: list[str]) -> bool:
    return any(word.startswith("DOCKER") or word == _BRIDGE for word in words)


def _iptables(*arguments: str) -> str:
    iptables = program("iptables")
    return run([iptables, *arguments], quiet=True, check=False).stdout if iptables else ""
