"""Requirements without Flink: udfleet takes its place."""

from __future__ import annotations

import re

_FLINK = re.compile(r"apache[-_.]flink(?:[-_.]libraries)?(?![\w.-])", re.IGNORECASE)


def without_flink(lines: list[str], notes: list[str]) -> list[str]:
    """Leaves apache-flink out, and says so."""
    kept = [line for line in lines if not _FLINK.match(line)]
    if len(kept) < len(lines):
        notes.append("PYTHON_REQUIREMENTS: apache-flink is left out, its names are udfleet's here")
    return kept
