"""Generates src/udfleet/_proto from proto/proto; `--check` only verifies that what is committed is current."""

from __future__ import annotations

import argparse
import importlib.resources
import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "proto" / "proto"
TARGET = HERE / "src" / "udfleet" / "_proto"
# What clients and the artifact service use; executor-internal messages stay out.
FILES = ["capsule", "cluster", "error", "exchange", "fleet", "function", "keyed", "metrics", "plan", "stage", "types"]
_IMPORT = re.compile(r"^from udfleet\.v1 import", re.MULTILINE)


def generate(folder: Path) -> dict[str, str]:
    """Runs protoc into a folder; returns file names relative to the package, with their text."""
    from grpc_tools import protoc

    include = importlib.resources.files("grpc_tools") / "_proto"
    names = [f"udfleet/v1/{name}.proto" for name in FILES]
    code = protoc.main(
        ["protoc", f"-I{SOURCE}", f"-I{include}", f"--python_out={folder}", f"--pyi_out={folder}", *names]
    )
    if code:
        raise SystemExit(f"protoc failed with status {code}")
    texts = {"__init__.py": "", "udfleet/__init__.py": "", "udfleet/v1/__init__.py": ""}
    for path in sorted(folder.rglob("*.py*")):
        # Generated imports are absolute and would find the SDK package instead.
        texts[path.relative_to(folder).as_posix()] = _IMPORT.sub("from . import", path.read_text())
    return texts


def main() -> int:
    """Writes or checks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        texts = generate(Path(folder))
    stale = [name for name, text in texts.items() if _read(TARGET / name) != text]
    if check and stale:
        print(f"not current: {', '.join(stale)}; run python generate_proto.py", file=sys.stderr)
        return 1
    for name in stale:
        (TARGET / name).parent.mkdir(parents=True, exist_ok=True)
        (TARGET / name).write_text(texts[name])
    return 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
