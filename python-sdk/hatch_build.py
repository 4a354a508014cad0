"""Puts the fleet's programs into a wheel, so that who installs it needs neither a checkout nor a compiler.

`UDFLEET_WHEEL_PROGRAMS` names the folder that holds them; without it the wheel is the SDK alone.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAMS = (
    "udfleet-coordinator",
    "udfleet-executor",
    "udfleet-interpreter",
    "libudfleet_interpreter.so",
    "udfleet-clickhouse",
)


class ProgramsHook(BuildHookInterface[Any]):
    """The build hook that hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the programs, and a tag that says where they run."""
        named = os.environ.get("UDFLEET_WHEEL_PROGRAMS")
        if not named or version == "editable":
            return
        files = [Path(named) / name for name in PROGRAMS]
        absent = [file.name for file in files if not file.is_file()]
        if absent:
            raise FileNotFoundError(f"{named} lacks {', '.join(absent)}: build them with `cargo build --release`")
        for file in files:
            build_data["force_include"][str(file)] = f"udfleet/_bin/{file.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_2_{max(map(glibc_needed, files))}_{platform.machine()}"


def glibc_needed(program: Path) -> int:
    """The newest version of glibc whose symbols an ELF file names: 34 for 2.34 (PEP 600)."""
    return max((int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", program.read_bytes())), default=17)
