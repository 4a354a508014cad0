"""The source lines of code that is pickled by value: tracebacks on another machine show them."""

from __future__ import annotations

import inspect
import linecache
import tokenize
from types import FunctionType

MAX_FILE_BYTES = 256 << 10
MAX_BYTES = 1 << 20


class Sources:
    """Lines of files, gathered while code is pickled. Other lines of the files stay here: only their numbers count."""

    def __init__(self) -> None:
        self._files: dict[str, dict[int, str]] = {}

    def add(self, function: FunctionType) -> None:
        """Takes the lines of a function and of what is defined within it."""
        code = function.__code__
        # The globals know the loader: modules in zip files have their text from it.
        lines = linecache.getlines(code.co_filename, function.__globals__)
        first = code.co_firstlineno
        if not 0 < first <= len(lines):
            return
        kept = self._files.setdefault(code.co_filename, {})
        for number, line in enumerate(_block(lines[first - 1 :]), first):
            kept[number] = line

    def texts(self) -> dict[str, str]:
        """Text by file name; what exceeds the bounds is left out."""
        found: dict[str, str] = {}
        size = 0
        for name, lines in sorted(self._files.items()):
            text = "".join(_ended(lines.get(number, "")) for number in range(1, max(lines, default=0) + 1))
            length = len(text.encode("utf-8", "replace"))
            if length <= MAX_FILE_BYTES and size + length <= MAX_BYTES:
                size += length
                found[name] = text
        return found


def _block(lines: list[str]) -> list[str]:
    """The lines of the function that begins with the first."""
    try:
        return inspect.getblock(lines)
    except (SyntaxError, tokenize.TokenError):
        return lines[:1]


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"
