"""audit verify"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from ..errors import InvalidInputError
from . import output

_HASH = b',"hash":"'


@dataclass
class _Chain:
    """How far the lines that were read belong together."""

    sequence: int | None = None
    hash: str = ""
    lines: int = 0

    def take(self, line: bytes) -> None:
        """The next line.

        :raises ValueError: it does not follow the one before, or was changed.
        """
        content, found, rest = line.rpartition(_HASH)
        if not found or not rest.endswith(b'"}'):
            raise ValueError("it has no hash at its end")
        digest = rest[:-2].decode("ascii", "replace")
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("its content has another hash: it was changed")
        event = json.loads(line)
        if self.sequence is not None:
            if event["sequence"] != self.sequence + 1:
                raise ValueError(f"it is line {event['sequence']} of the log and follows line {self.sequence}")
            if event["previous"] != self.hash:
                raise ValueError("it does not follow the line before: lines were changed or put in")
        self.sequence, self.hash, self.lines = event["sequence"], digest, self.lines + 1


@click.group(short_help="The audit log of a coordinator.")
def audit() -> None:
    """The audit log of a coordinator: DATA_DIR/audit."""


@audit.command(short_help="Check that nothing was changed.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def verify(paths: tuple[Path, ...]) -> None:
    """Check files of an audit log, in the order given, or a folder with all of them: each line must be as it was
    written and follow the one before.
    """
    chain = _Chain()
    for path in _files(paths):
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                chain.take(line)
            except (ValueError, KeyError, TypeError) as error:  # noqa: PERF203
                raise InvalidInputError(
                    f"{path}, line {number}: {error}", hint="what came before is as it was written"
                ) from None
    output.say(f"{chain.lines} lines are as they were written; the last is {chain.sequence}, {chain.hash}")


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("audit-*.jsonl"))
            yield path / "audit.jsonl"
        else:
            yield path
