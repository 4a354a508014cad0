"""Names of secrets and variables. Imports nothing that takes long."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME = 128
_RESERVED = frozenset({"PATH", "HOME", "TMPDIR"})
_RESERVED_PREFIXES = ("UDFLEET_", "LD_", "PYTHON")


def is_name(name: object) -> bool:
    """Whether it is like the name of a variable."""
    return isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= MAX_NAME


def is_reserved(name: str) -> bool:
    """Whether a variable of that name makes an interpreter what it is: then it can't be a function's."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES)


def in_both(variables: Iterable[str], secrets: Iterable[str]) -> str:
    """Why these can't go together; empty: they can."""
    both = sorted({*variables} & {*secrets})
    return f"{both[0]} is both a variable and a secret, and a process has one value of it" if both else ""
