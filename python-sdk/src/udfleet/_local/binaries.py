"""Where udfleet's programs are."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import StartupError

COORDINATOR = "udfleet-coordinator"
EXECUTOR = "udfleet-executor"
CLICKHOUSE_BRIDGE = "udfleet-clickhouse"


def _candidates(program: str) -> Iterator[Path]:
    package = Path(__file__).resolve().parent.parent
    yield package / "_bin"
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path).resolve().parent
    for parent in package.parents:
        if (parent / "Cargo.toml").is_file() and (parent / "coordinator").is_dir():
            yield parent / "target" / "release"


def find_folder() -> Path:
    """The folder that holds the programs: `UDFLEET_BIN_DIR`, the package, PATH, or a source checkout's build."""
    return _find(COORDINATOR, EXECUTOR)


def find_program(name: str) -> Path:
    """One program, in the same places."""
    return _find(name) / name


def _find(*programs: str) -> Path:
    named = os.environ.get("UDFLEET_BIN_DIR")
    tried = [Path(named)] if named else list(_candidates(programs[0]))
    for folder in tried:
        if all(os.access(folder / name, os.X_OK) for name in programs):
            return folder
    absent = f"{' and '.join(programs)} {'were' if len(programs) > 1 else 'was'} not found"
    raise StartupError(
        f"{absent} in {', '.join(map(str, tried)) or 'any folder'} nor on PATH",
        hint="install a wheel that has them, run `cargo build --release`, or set UDFLEET_BIN_DIR to their folder",
    )


def find_uv() -> str | None:
    """The uv that was installed with udfleet, or the one on PATH."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def base_python() -> str:
    """The Python that this one's virtual environment was made of: it need not be on PATH."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)
